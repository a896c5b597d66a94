/** @file Experts and routers of computed layers whose neighbours' experts were matched before. */
import { isPredicted, weightedMean, type Fill } from '@shared/methods/define'
import type { ExpertChains } from '../../alignment/ExpertChains'
import type { Checkpoint } from '../../checkpoint/Checkpoint'
import { wholeSeries } from '../../lesa/series'
import { transposed } from '../../lib/matrix'
import { ROUTER, type FilledSlot } from '../grownLayout'
import type { Filler } from '../grownTensors'

interface ExpertFill {
  readonly fill: Fill
  readonly checkpoint: Checkpoint
  readonly experts: ExpertChains
  /** By the new layer's index in the grown model; 1 without it. */
  readonly routerFactors: ReadonlyMap<number, number>
  /** Of what does not belong to experts, and of what is predicted. */
  readonly others: Filler
}

/** New experts are in the left neighbour's order, whose place the new layer takes, and so are their neurons. */
export function expertFiller({
  fill,
  checkpoint,
  experts,
  routerFactors,
  others,
}: ExpertFill): Filler {
  return (matrix) => {
    if (matrix.type === ROUTER) {
      const scale = routerFactors.get(matrix.layer) ?? 1
      return routerRows(checkpoint, experts, matrix, scale)
    }
    if (matrix.expert === null || isPredicted(fill)) return others(matrix)
    return combined(checkpoint, experts, matrix, fill)
  }
}

/**
 * The rows of both routers, each expert's with its match's: their mean, given the mean of their lengths, since a mean of two
 * is shorter. Rows are taken less their layer's mean, which the softmax over experts does not see.
 */
async function* routerRows(
  checkpoint: Checkpoint,
  experts: ExpertChains,
  { left, right, sides, position: t }: FilledSlot,
  scale: number,
): AsyncGenerator<Float32Array> {
  const count = left.shape[0] ?? 0
  const width = (left.shape[1] ?? 0) || 1
  const a = withoutMean(await checkpoint.readFloat32(left.name), width)
  const b = withoutMean(await checkpoint.readFloat32(right.name), width)
  const mixed = new Float32Array(a.length)
  for (let expert = 0; expert < count; expert += 1) {
    const other = experts.expertOf(sides[1], experts.chainOf(sides[0], expert))
    const own = a.subarray(expert * width, (expert + 1) * width)
    const next = b.subarray(other * width, (other + 1) * width)
    const row = own.map((value, index) => weightedMean(value, next[index]!, t))
    const length = norm(row)
    const mean = weightedMean(norm(own), norm(next), t)
    const factor = length === 0 ? 0 : (scale * mean) / length
    mixed.set(
      row.map((value) => value * factor),
      expert * width,
    )
  }
  yield mixed
}

function withoutMean(rows: Float32Array, width: number): Float32Array {
  const count = rows.length / width
  for (let column = 0; column < width; column += 1) {
    let sum = 0
    for (let row = 0; row < count; row += 1) sum += rows[row * width + column]!
    for (let row = 0; row < count; row += 1) rows[row * width + column]! -= sum / count
  }
  return rows
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}

async function* combined(
  checkpoint: Checkpoint,
  experts: ExpertChains,
  { type, expert, sides, position }: FilledSlot,
  fill: Fill,
): AsyncGenerator<Float32Array> {
  const [from, to] = [sides[1], sides[0]]
  const chain = experts.chainOf(to, expert ?? 0)
  const a = await checkpoint.readSlot(type, { layer: to, expert })
  const b = await checkpoint.readSlot(type, {
    layer: from,
    expert: experts.expertOf(from, chain),
  })
  const [rows = 1, columns = 1] = checkpoint.slot(type).weight.shape
  const { isTransposed } = wholeSeries(checkpoint, type)
  const [neurons, width] = isTransposed ? [columns, rows] : [rows, columns]
  const byNeuron = isTransposed ? transposed(b, rows, columns) : b
  experts.align(byNeuron, width, { layer: from, chain })
  experts.restore(byNeuron, width, { layer: to, chain })
  const right = isTransposed ? transposed(byNeuron, neurons, width) : byNeuron
  if (fill.kind === 'matrices') {
    yield fill.compute(a, right, position)
    return
  }
  const compute = fill.kind === 'elements' ? fill.compute : weightedMean
  for (let i = 0; i < a.length; i += 1) a[i] = compute(a[i]!, right[i]!, position)
  yield a
}
