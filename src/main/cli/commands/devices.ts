import { startEngine } from '../job'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { formatDevices, toJson } from '../results'

export async function devices(context: CommandContext): Promise<number> {
  const { io, json } = context
  const engine = startEngine(context)
  try {
    const reports = await engine.call('devices')
    const { decideAuto } = await import('../../engine/onnx/devices')
    const auto = decideAuto(reports)
    io.stdout.write(json ? toJson({ devices: reports, auto }) : formatDevices(reports, auto))
    return EXIT_OK
  } finally {
    await engine.dispose()
  }
}
