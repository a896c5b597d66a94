import { fewOf } from '@shared/text'
import type { JobEvent, JobStep } from '@shared/jobs'
import {
  writeCheckpoint,
  type WriteCheckpointOptions,
  type WrittenCheckpoint,
} from '../checkpoint/CheckpointWriter'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { refuseLosses } from '../checkpoint/range'
import { describeLeftOut, type Sidecars } from '../checkpoint/sidecars'
import { reporting } from '../lib/reporting'
import { weightOf } from '../lib/work'
import type { GrownLayout } from './grownLayout'
import { narrowedTensors, rangeLosses } from './grownTensors'

/** Id of the step that every job which writes one checkpoint announces. */
export const WRITE_STEP = 'write'

/** Writes a checkpoint as a step of a job: reports each hundredth, and the folder at the end. */
export async function* writing(
  signal: AbortSignal,
  options: Omit<WriteCheckpointOptions, 'signal' | 'onProgress'>,
  step = WRITE_STEP,
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
        void report({ type: 'step', id: step, done, total }).catch(() => undefined)
      },
    })
  })
  const text = describeNonFinite(written.nonFinite)
  if (text !== null) yield { type: 'log', level: 'warning', text }
  yield { type: 'artifact', path: written.out, sizeBytes: written.bytes }
  return written
}

/** Says which tensors hold what is no number, as the base model's do; `null` when none does. */
export function describeNonFinite(tensors: readonly string[]): string | null {
  if (tensors.length === 0) return null
  const count = tensors.length === 1 ? '1 tensor holds' : `${tensors.length} tensors hold`
  return `${count} NaN or infinities, taken over from the base model: ${fewOf(tensors)}.`
}

/** Id of the step that looks whether the element type holds the base model's weights. */
const RANGE_STEP = 'range'

/** The part of a spec that says whether losses are wanted. */
interface Allowance {
  readonly allowOverflow?: boolean | undefined
}

/** That step, where there is anything to look at. */
export function rangeSteps(layout: GrownLayout, { allowOverflow = false }: Allowance): JobStep[] {
  const bytes = narrowedTensors(layout).reduce((sum, { tensor }) => sum + tensor.byteLength, 0)
  if (bytes === 0 || allowOverflow) return []
  const weight = weightOf({ converted: bytes })
  return [{ id: RANGE_STEP, label: 'check the element type', weight }]
}

/**
 * Looks, before anything is computed, whether the chosen element type holds the base model's weights.
 *
 * @throws AppError `bad_request` naming the tensors that it does not hold, unless that is allowed.
 */
export async function* checkRange(
  checkpoint: Checkpoint,
  layout: GrownLayout,
  { allowOverflow = false }: Allowance,
  signal: AbortSignal,
): AsyncGenerator<JobEvent, void> {
  if (allowOverflow) return
  const looking = rangeLosses(checkpoint, layout)
  let next = await looking.next()
  for (; !next.done; next = await looking.next()) {
    signal.throwIfAborted()
    yield { type: 'step', id: RANGE_STEP, ...next.value }
  }
  refuseLosses(next.value)
}

/** Says what stays behind of the base model's folder. */
export function* tellLeftOut({ leftOut }: Sidecars): Generator<JobEvent, void> {
  const text = describeLeftOut(leftOut)
  if (text !== null) yield { type: 'log', level: 'info', text }
}
