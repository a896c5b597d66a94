/** @file How well a model predicts sequences. */
import { AppError } from '@shared/errors'
import { batchPositions, type Batch } from '../decoder/batches'
import type { ForwardPass, HiddenBatch } from '../decoder/ForwardPass'
import { TargetScores } from '../decoder/head'

/** How far a pass is: runs of a layer, then of the head. */
export interface ScoringProgress {
  readonly stage: 'layers' | 'head'
  readonly done: number
  readonly total: number
}

/** How well the tokens of a sequence were predicted. */
export interface SequenceScore {
  /** −ln p(token | the ones before it) of each of its tokens but the first. */
  readonly losses: Float64Array
}

/**
 * How well each sequence's tokens are predicted from the ones before them.
 *
 * @param sequences Token ids below the vocabulary's size, two at least in each.
 * @throws AppError `numeric_failure` naming the layer whose output is not finite.
 */
export async function* scoreSequences(
  pass: ForwardPass,
  sequences: readonly Int32Array[],
): AsyncGenerator<ScoringProgress, readonly SequenceScore[]> {
  const groups = pass.plan(sequences)
  const batches = groups.flat()
  const layers = counter('layers', batches.length * pass.checkpoint.config.numHiddenLayers)
  const runs = batches.map((batch) => pass.head.runsFor(batchPositions(batch)))
  const head = counter(
    'head',
    runs.reduce((sum, count) => sum + count, 0),
  )
  const scores = unscored(sequences)
  for (const group of groups) {
    const actives = await pass.embed(group)
    for await (const _ of pass.throughLayers(actives)) yield layers()
    const parts = actives.map(({ batch, hidden }: HiddenBatch) => {
      const targets = nextTokens(batch)
      return { batch, hidden, targets, scores: new TargetScores(targets.length) }
    })
    for await (const _ of pass.head.score(parts)) yield head()
    for (const { batch, scores: positions } of parts) keepLosses(pass, batch, positions, scores)
  }
  return scores
}

/**
 * Takes the losses of a batch's targets over into the scores of its sequences.
 *
 * @throws AppError `numeric_failure`.
 */
export function keepLosses(
  pass: ForwardPass,
  batch: Batch,
  positions: TargetScores,
  scores: readonly SequenceScore[],
): void {
  batch.indices.forEach((index, row) => {
    const losses = scores[index]?.losses
    losses?.forEach((_, column) => {
      losses[column] = positions.nll(row * batch.length + column)
    })
    if (losses?.every(Number.isFinite) !== true) throw badHead(pass)
  })
}

/** The logits at every position of one sequence, `[ids.length, vocabSize]`. */
export async function logitsOf(pass: ForwardPass, ids: Int32Array): Promise<Float32Array> {
  const [active] = await pass.embed([{ length: ids.length, sequences: [ids], indices: [0] }])
  if (!active) throw new AppError('bug', 'There is no sequence.')
  for await (const _ of pass.throughLayers([active]));
  return pass.head.logits(active.hidden)
}

/** Scores of sequences, to be filled. */
export function unscored(sequences: readonly Int32Array[]): SequenceScore[] {
  return sequences.map((ids) => ({ losses: new Float64Array(ids.length - 1) }))
}

/** Counts runs, so that progress knows its total from the start. */
export function counter(stage: ScoringProgress['stage'], total: number): () => ScoringProgress {
  let done = 0
  return () => {
    done += 1
    return { stage, done, total }
  }
}

/** Each position's next token; −1 where there is none. */
export function nextTokens({ length, sequences }: Batch): Int32Array {
  const targets = new Int32Array(length * sequences.length).fill(-1)
  sequences.forEach((ids, row) => targets.set(ids.subarray(1), row * length))
  return targets
}

function badHead({ checkpoint, head }: ForwardPass): AppError {
  return new AppError('numeric_failure', 'The output layer computes values that are not finite.', {
    hint: 'Look at the final norm and the output matrix: they may hold infinities.',
    context: { file: checkpoint.path, tensor: head.matrix.name },
  })
}
