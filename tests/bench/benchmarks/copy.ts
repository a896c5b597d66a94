import { execFile } from 'node:child_process'
import { copyFile, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { formatBytes } from '@shared/units'
import type { ExpandOptions } from '../../../src/main/cli/expandSpec'
import { estimateExpand } from '../lib/estimate'
import { numberOf, runLesa, runProgram, takeTurns } from '../lib/measure'
import { llamaConfig, synthesize, TINY } from '../lib/models'
import { requireSpace } from '../lib/space'
import type { BenchContext, Benchmark, Part, Sample } from '../lib/types'

const LAYERS = 22
/** Every method grows 22 → 32 layers, 16.1 GB of the 8 B shape, so that what is written has one size. */
const METHODS = [
  { method: 'solar', overlap: 6 },
  { method: 'llama-pro', groups: 10 },
  { method: 'interpolation', gaps: '11-20' },
  { method: 'stack', repeat: [12, 21] },
] as const satisfies readonly Omit<ExpandOptions, 'out'>[]
type CopyMethod = (typeof METHODS)[number]
const GROWN = 32
const OUTPUT_BYTES = 16.1e9

export const copyBenchmark: Benchmark = {
  name: 'copy-16gb',
  description:
    'lesa expand with each copying method, 22 → 32 layers of the 8 B shape (16 GB written), against cp of the ' +
    'output; both end when the bytes are on the disk (fsync). Whatever either side is about to read is read once ' +
    'before its turn, so that as much of it is in the page cache as fits there',
  run,
}

async function run(context: BenchContext): Promise<Part[]> {
  const { quick, work, say } = context
  if (!quick) await requireSpace(work, 3 * OUTPUT_BYTES)
  const model = join(work, 'base')
  say('copy-16gb: writing the base model')
  await synthesize(context, model, quick ? llamaConfig(TINY) : 'llama3-8b', LAYERS)
  const parts: Part[] = []
  for (const options of METHODS) parts.push(await measureMethod(context, model, options))
  await rm(model, { recursive: true })
  return parts
}

async function measureMethod(
  context: BenchContext,
  model: string,
  options: CopyMethod,
): Promise<Part> {
  const { work, withReference } = context
  const out = join(work, 'grown')
  const { method } = options
  await readOnce(model)
  const estimate = await estimateExpand(context, model, { ...options, out })
  let bytes = 0
  const sides = await takeTurns(
    context,
    `copy-16gb ${method}`,
    {
      ours: async () => {
        await rm(out, { recursive: true, force: true })
        await flushDisk()
        await readOnce(model)
        const args = ['expand', model, '--out', out, ...flags(options), '--json']
        const run = await runLesa(context, args)
        const result = JSON.parse(run.stdout) as Record<string, unknown>
        if (numberOf(result, 'num_hidden_layers') !== GROWN) throw new Error('Wrong depth.')
        bytes = numberOf(result, 'bytes')
        return { value: run.seconds, peakBytes: run.peakBytes }
      },
      reference: withReference ? () => copyFolder(context, out, join(work, 'copy')) : null,
    },
    1,
  )
  await rm(out, { recursive: true })
  const speed = (samples: readonly Sample[] | null) =>
    samples?.map(({ value }) => `${formatBytes(bytes / value)}/s`).join(', ') ?? 'not measured'
  return {
    name: method,
    unit: 's',
    ...sides,
    goal: { ratio: 1 / 0.9, peakBytes: 400e6 },
    estimate,
    notes: [
      `${formatBytes(bytes)}: ours ${speed(sides.ours)}, cp and fsync ${speed(sides.reference)}`,
    ],
  }
}

/** `{ method: 'stack', repeat: [12, 21] }` → `--method stack --repeat 12-21`. */
function flags(options: CopyMethod): string[] {
  const entries = Object.entries<string | number | readonly number[]>(options)
  return entries.flatMap(([name, value]) => [
    `--${name}`,
    typeof value === 'object' ? value.join('-') : String(value),
  ])
}

/** Plain `cp` of the folder, then fsync of every file; where there is no `cp`, the system's own file copy. */
async function copyFolder(context: BenchContext, from: string, to: string): Promise<Sample> {
  await flushDisk()
  await readOnce(from)
  let peakBytes: number | null = null
  const started = performance.now()
  if (process.platform === 'win32') {
    await mkdir(to)
    for (const name of await filesIn(from)) await copyFile(join(from, name), join(to, name))
  } else {
    const run = await runProgram('cp', ['-R', from, to], { signal: context.signal })
    peakBytes = run.peakBytes
  }
  for (const name of await filesIn(to)) {
    const handle = await open(join(to, name), 'r+')
    await handle.sync()
    await handle.close()
  }
  const value = (performance.now() - started) / 1000
  await rm(to, { recursive: true })
  return { value, peakBytes }
}

async function filesIn(folder: string): Promise<string[]> {
  const files: string[] = []
  for (const name of await readdir(folder)) {
    if ((await stat(join(folder, name))).isFile()) files.push(name)
  }
  return files
}

/** Lets what earlier runs wrote reach the disk, so that the next one does not wait for it. */
async function flushDisk(): Promise<void> {
  if (process.platform !== 'win32') await promisify(execFile)('sync')
}

/** Brings a folder's files into the page cache, as far as there is memory. */
async function readOnce(folder: string): Promise<void> {
  const chunk = new Uint8Array(2 ** 20)
  for (const name of await filesIn(folder)) {
    const handle = await open(join(folder, name))
    while ((await handle.read(chunk)).bytesRead > 0);
    await handle.close()
  }
}
