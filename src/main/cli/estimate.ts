import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { EstimatedSpec } from '@shared/engineProtocol'
import type { Estimate, TrainingPace } from '@shared/estimate'
import { formatBytes, formatDuration } from '@shared/units'
import type { EngineClient } from '../jobs/EngineClient'
import { userFolder } from '../storage/userFolder'
import type { CommandContext } from './program'
import { paint } from './progress'

/** Says on stderr what a job will cost. What is wrong with the job is for the job itself to say. */
export async function showEstimate(
  engine: EngineClient,
  spec: EstimatedSpec,
  { io }: CommandContext,
): Promise<void> {
  const user = userFolder({ platform: process.platform, env: io.env, home: homedir() })
  const cache = join(user, 'cache')
  try {
    // Without a place to keep the machine's speed it is measured each time.
    const isKept = await mkdir(cache, { recursive: true }).then(
      () => true,
      () => false,
    )
    const estimate = await engine.call('estimate', {
      spec,
      isQuick: true,
      ...(isKept ? { calibrationFile: join(cache, 'speed.json') } : {}),
    })
    const [line, ...warnings] = formatEstimate(estimate)
    io.stderr.write(`${line}\n`)
    for (const warning of warnings) io.stderr.write(`${paint(io, '33', 'warning')}: ${warning}\n`)
  } catch {
    // The job fails for the same reason, and says so.
  }
}

/** One line for the figures, and one for each reason why they may not fit. */
export function formatEstimate(estimate: Estimate): string[] {
  const { seconds, hostBytesPeak, deviceBytes, diskBytes, training, verdict, reasons } = estimate
  const parts = [
    `${formatDuration(seconds.low * 1000)} to ${formatDuration(seconds.high * 1000)}`,
    `${formatBytes(hostBytesPeak)} of memory`,
    ...(deviceBytes === null ? [] : [`${formatBytes(deviceBytes)} on the device`]),
    `${formatBytes(diskBytes)} of disk`,
    ...(training === undefined ? [] : [formatPace(training)]),
  ]
  return [`estimate: ${parts.join(', ')}`, ...(verdict === 'fits' ? [] : reasons)]
}

function formatPace({ secondsPerStep: { low, high }, tokensPerStep }: TrainingPace): string {
  const [least, most] = [formatShort(low), formatShort(high)]
  const range = least === most ? most : `${least} to ${most}`
  return `${range} a step of ${tokensPerStep} tokens`
}

/** Steps of small models take milliseconds. */
function formatShort(seconds: number): string {
  return seconds < 1 ? `${Math.ceil(seconds * 1000)} ms` : formatDuration(seconds * 1000)
}
