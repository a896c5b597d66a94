import { basename } from 'node:path'
import type { JobEvent } from '@shared/jobs'
import type { Checkpoint } from '../checkpoint/Checkpoint'

/** Says in the job's log what was overlooked or assumed when a checkpoint was read. */
export function remarksOf({ path, remarks }: Checkpoint): JobEvent[] {
  return remarks.map((text) => ({
    type: 'log',
    level: 'warning',
    text: `${basename(path)}: ${text}`,
  }))
}
