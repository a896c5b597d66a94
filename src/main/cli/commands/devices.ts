import type { Device, DeviceDecision, DeviceReport } from '@shared/devices'
import { startEngine } from '../job'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatDevices, toJson } from '../results'

export async function devices(context: CommandContext): Promise<number> {
  const { io, json } = context
  const engine = startEngine(context)
  try {
    const reports = await engine.call('devices')
    const auto = decideAuto(reports)
    io.stdout.write(json ? toJson({ devices: reports, auto }) : formatDevices(reports, auto))
    return EXIT_OK
  } finally {
    await engine.dispose()
  }
}

/** Fastest first, among those that are real. */
const PREFERENCE: readonly Device[] = ['cuda', 'dml', 'coreml', 'webgpu', 'cpu']

function decideAuto(reports: readonly DeviceReport[]): DeviceDecision {
  const best = PREFERENCE.map((device) =>
    reports.find((report) => report.device === device && report.available && !report.isSoftware),
  ).find((report) => report !== undefined)
  return { device: best?.device ?? 'cpu', reason: best?.reason ?? 'nothing else works' }
}
