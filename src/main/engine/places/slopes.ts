/** @file One forward and one backward pass: what layers do, what each gap's candidates promise, and each gap's fitted block. */
import type { CandidateScore } from '@shared/places'
import { AppError } from '@shared/errors'
import { collectSums, directionOf } from '../fitting/direction'
import { writeOutputs } from '../fitting/fit'
import type { Block, StreamedModel, VisitedBlock } from '../fitting/StreamedModel'
import type { Tensor } from '../onnx/Runtime'
import type { Candidate } from './candidates'
import type { StreamGeometry } from './StreamGeometry'

/** What the backward pass tells of a gap. */
export interface GapSlope {
  /** √(Σ ‖g‖² / n) over n predicted tokens. */
  readonly slope: number
  readonly candidates: readonly CandidateScore[]
}

/**
 * Runs the calibration windows forward and backward; yields its share of the work.
 *
 * @param folder Takes the direction of each gap's block, as `findDirections` leaves them.
 * @returns By gap.
 * @throws AppError `numeric_failure`.
 */
export async function* measureSlopes(
  model: StreamedModel,
  windows: readonly Int32Array[],
  {
    geometry,
    candidates,
    folder,
  }: {
    readonly geometry: StreamGeometry
    readonly candidates: readonly Candidate[]
    readonly folder: string
  },
): AsyncGenerator<number, GapSlope[]> {
  const { numHiddenLayers, hiddenSize } = model.checkpoint.config
  const blocks: Block[] = Array.from({ length: numHiddenLayers }, (_, layer) => ({
    layer,
    outputs: null,
  }))
  const entries = model.stackOf(blocks)
  const micros = model.microBatches(windows)
  const kept = model.keptStates()
  const embedded = await model.embed(micros)
  const final = yield* model.forward(embedded, entries, blocks, kept, (_entry, given, gives) =>
    geometry.see(given, gives),
  )
  const { loss, slopes } = yield* model.slopesAtEnd(micros, final)
  requireFinite(model, loss)
  const tokens = windows.length * (model.context - 1)
  const gaps: GapSlope[] = []
  yield* model.backward({ final, slopes }, entries, blocks, kept, async function* (visited) {
    const gap = visited.block
    const scores: CandidateScore[] = []
    for (const candidate of candidates) {
      const gradient = yield* gradientScore(model, visited, candidate)
      if (gradient !== null) scores.push({ candidate: candidate.name, gradient: gradient / tokens })
    }
    const squares = visited.slopes.reduce((sum, slope) => sum + dot(slope, slope), 0)
    requireFinite(model, squares)
    gaps[gap] = { slope: Math.sqrt(squares / tokens), candidates: scores }
    const { statistics } = yield* collectSums(model, visited)
    const direction = await directionOf(model, statistics, tokens)
    statistics.release()
    for (const values of Object.values(direction))
      requireFinite(model, values.every(Number.isFinite) ? 0 : NaN)
    await writeOutputs(folder, gap, direction, hiddenSize)
    yield 4
    return null
  })
  return gaps
}

/** Σ ⟨g, f(x)⟩ over tokens and the candidate's blocks in the gap, f(x) = block(x) − x; `null` where it has none. */
async function* gradientScore(
  model: StreamedModel,
  { block: gap, layer, inputs, slopes }: VisitedBlock,
  candidate: Candidate,
): AsyncGenerator<number, number | null> {
  const count = candidate.countAt(gap)
  let sum = 0
  for (let index = 0; index < count; index += 1) {
    const { weights, like, release } = await candidate.block(gap, index, layer)
    try {
      for (const [place, hidden] of inputs.entries()) {
        const next = await model.runLayer(like, weights, hidden)
        sum += dot(next, slopes[place]!) - dot(hidden, slopes[place]!)
        model.pool.give(next)
        yield 1
        await model.pause()
      }
    } finally {
      release()
    }
  }
  return count === 0 ? null : sum
}

function dot(a: Tensor, b: Tensor): number {
  const [left, right] = [a.data as Float32Array, b.data as Float32Array]
  let sum = 0
  for (let index = 0; index < left.length; index += 1) sum += left[index]! * right[index]!
  return sum
}

function requireFinite(model: StreamedModel, value: number): void {
  if (Number.isFinite(value)) return
  throw new AppError('numeric_failure', 'The loss on the text, or its slope, is not finite.', {
    hint: 'Look at the model’s weights: they may hold infinities, or be far too large.',
    context: { file: model.checkpoint.path, device: model.runtime.device, actual: String(value) },
  })
}
