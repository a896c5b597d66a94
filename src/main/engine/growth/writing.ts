import type { JobEvent } from '@shared/jobs'
import {
  writeCheckpoint,
  type WriteCheckpointOptions,
  type WrittenCheckpoint,
} from '../checkpoint/CheckpointWriter'
import { reporting } from '../lib/reporting'

/** Id of the step that every job which writes a checkpoint announces. */
export const WRITE_STEP = 'write'

/** Writes a checkpoint as a job's last step but for checks: reports each hundredth, and the folder at the end. */
export async function* writing(
  signal: AbortSignal,
  options: Omit<WriteCheckpointOptions, 'signal' | 'onProgress'>,
): AsyncGenerator<JobEvent, WrittenCheckpoint> {
  const written = yield* reporting<JobEvent, WrittenCheckpoint>(signal, (report) => {
    let last = -1
    return writeCheckpoint({
      ...options,
      signal,
      onProgress: (done, total) => {
        const hundredth = Math.floor((100 * done) / total)
        if (hundredth === last) return
        last = hundredth
        // The writer does not wait for reports to be taken.
        void report({ type: 'step', id: WRITE_STEP, done, total }).catch(() => undefined)
      },
    })
  })
  yield { type: 'artifact', path: written.out, sizeBytes: written.bytes }
  return written
}
