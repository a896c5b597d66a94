import { cpus } from 'node:os'
import {
  DEVICES,
  type Device,
  type DeviceChoice,
  type DeviceDecision,
  type DeviceReport,
} from '@shared/devices'
import { AppError } from '@shared/errors'
import { Graph } from './graph'
import { Runtime } from './Runtime'

/** Devices `auto` may take besides the CPU, best first. CoreML runs loops on the CPU, so it is taken only on request. */
const AUTO_ORDER: readonly Device[] = ['cuda', 'webgpu', 'dml']

/** Size of the trial product. Its entries are small whole numbers, so the exact result is known. */
const TRIAL_SIZE = 512

/**
 * Software rasterisers (SwiftShader, llvmpipe) reach about 1 GFLOP/s, the weakest GPUs a hundred times that. ONNX
 * Runtime does not tell the adapter's type, but its speed does.
 */
const SOFTWARE_GFLOPS = 10

let reports: Promise<readonly DeviceReport[]> | null = null

/** Tries every device once per process. */
export function probeDevices(): Promise<readonly DeviceReport[]> {
  reports ??= (async () => {
    const found: DeviceReport[] = []
    for (const device of DEVICES) found.push(await tryDevice(device))
    return found
  })()
  return reports
}

/**
 * Settles which device a job runs on.
 *
 * @throws AppError `device_unavailable` when a device was asked for by name and does not work.
 */
export async function chooseDevice(choice: DeviceChoice): Promise<DeviceDecision> {
  if (choice === 'cpu') return { device: 'cpu', reason: 'asked for' }
  if (choice !== 'auto') {
    const report = await tryDevice(choice)
    if (report.available) return { device: choice, reason: `asked for; ${report.reason}` }
    throw new AppError(
      'device_unavailable',
      `The device ${choice} is not available: ${report.reason}`,
      {
        hint: 'lesa devices shows what works here.',
        context: { device: choice },
      },
    )
  }
  return decideAuto(await probeDevices())
}

/** What `auto` takes: the best real GPU that works, never a software adapter, else the CPU. */
export function decideAuto(all: readonly DeviceReport[]): DeviceDecision {
  for (const device of AUTO_ORDER) {
    const report = all.find((candidate) => candidate.device === device)
    if (report?.available && !report.isSoftware) return { device, reason: report.reason }
  }
  const software = all.some((report) => report.available && report.isSoftware)
  return {
    device: 'cpu',
    reason: software ? 'the only GPU adapter here is software' : 'no GPU was found',
  }
}

/** Multiplies two matrices on the device and checks the result. */
async function tryDevice(device: Device): Promise<DeviceReport> {
  const only = ONLY_ON[device]
  if (only && only.platform !== process.platform) {
    return { device, available: false, isSoftware: false, reason: `${only.name} only` }
  }
  let runtime: Runtime | null = null
  try {
    runtime = await Runtime.open(device)
    const gflops = await trial(runtime)
    if (gflops === null) {
      return { device, available: false, isSoftware: false, reason: 'it computes wrong results' }
    }
    const isSoftware = device !== 'cpu' && gflops < SOFTWARE_GFLOPS
    const rate = `about ${Number(gflops.toPrecision(2))} GFLOP/s`
    const name = device === 'cpu' ? cpus()[0]?.model.trim() : undefined
    return {
      device,
      available: true,
      isSoftware,
      reason: isSoftware ? `a software adapter: ${rate}` : rate,
      ...(name === undefined || name === '' ? {} : { name }),
    }
  } catch (error) {
    const detail = error instanceof AppError ? error.context?.actual : undefined
    return {
      device,
      available: false,
      isSoftware: false,
      reason: whyNot(device, detail ?? (error instanceof Error ? error.message : String(error))),
    }
  } finally {
    await runtime?.dispose()
  }
}

/** GFLOP/s of the second run (the first compiles), or `null` when the result is wrong. */
async function trial(runtime: Runtime): Promise<number | null> {
  const n = TRIAL_SIZE
  const g = new Graph()
  g.output('y', g.matmul(g.input('a', [n, n]), g.input('b', [n, n])))
  const kernel = await runtime.compile(g)
  const a = Float32Array.from({ length: n * n }, (_, i) => ((i * 7) % 5) - 2)
  const b = Float32Array.from({ length: n * n }, (_, i) => ((i * 11) % 7) - 3)
  const feeds = { a: runtime.float32(a, [n, n]), b: runtime.float32(b, [n, n]) }
  await kernel.run(feeds)
  const start = performance.now()
  const y = (await kernel.run(feeds)).floats('y')
  const seconds = (performance.now() - start) / 1000
  for (const [row, column] of [
    [0, 0],
    [n - 1, 1],
    [n >> 1, n - 1],
  ] as const) {
    let exact = 0
    for (let k = 0; k < n; k += 1) exact += (a[row * n + k] ?? 0) * (b[k * n + column] ?? 0)
    if (y[row * n + column] !== exact) return null
  }
  return (2 * n ** 3) / seconds / 1e9
}

/** Where there is a provider at all. */
const ONLY_ON: Partial<
  Record<Device, { readonly platform: NodeJS.Platform; readonly name: string }>
> = {
  dml: { platform: 'win32', name: 'Windows' },
  coreml: { platform: 'darwin', name: 'macOS' },
}

/** What the runtime says, and what can be done about it. */
function whyNot(device: Device, text: string): string {
  const said = firstLine(text)
  if (device !== 'cuda') return said
  return process.platform === 'darwin'
    ? 'Linux and Windows with an NVIDIA GPU only'
    : `${said.replace(/\.$/, '')}; with an NVIDIA GPU, npm run setup:cuda fetches what it needs`
}

/** The first line, without the place in the runtime's sources that a failed check of it begins with. */
function firstLine(text: string): string {
  const line = text.split(/\n|↵/, 1)[0]?.trim() ?? text
  return line.replace(/^\S+:\d+ .* was false\. /, '')
}
