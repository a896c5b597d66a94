import { adamw, type AdamWSettings, type AdamWState } from '../onnx/adamw'
import { gradients } from '../onnx/gradients'
import { Graph, type Value } from '../onnx/graph'
import {
  blockedForward,
  PARAMETER_NAMES,
  parameterDims,
  predictorLoss,
  type BlockedValues,
  type ParameterName,
  type PredictorShape,
  type PredictorWeights,
  type WeightBlock,
} from './predictor'

/** Parameters up to this size share one flat tensor: an optimiser step costs a dozen operators however small. */
const PACK_LIMIT = 65_536

/** A rectangle of a parameter (a bias is one column), as the optimiser holds it. */
export interface Piece {
  readonly parameter: ParameterName
  readonly rows: readonly [start: number, end: number]
  readonly columns: readonly [start: number, end: number]
}

/** What the optimiser treats as one tensor: a piece in its own shape, or several one after the other. */
export interface ParameterGroup {
  readonly name: string
  readonly pieces: readonly Piece[]
  readonly dims: readonly number[]
}

/** Names of a group's tensors: the values, and both moments. */
const PARTS = ['value', 'first', 'second'] as const

/**
 * The optimiser's groups. Small parameters share one. The two weights that grow with the width are cut along it, into
 * pieces of at most `pieceSize` elements: the dozen operators of a step then find their piece in the processor's cache.
 *
 * @param pieceSize Infinity leaves the last layer's weight whole and cuts the first one's between both neighbours.
 */
export function parameterGroups(shape: PredictorShape, pieceSize: number): ParameterGroup[] {
  const { width, hidden } = shape
  const dims = parameterDims(shape)
  const whole = (parameter: ParameterName): Piece => {
    const [rows = 0, columns = 1] = dims[parameter]
    return { parameter, rows: [0, rows], columns: [0, columns] }
  }
  const [large, small]: [ParameterName[], ParameterName[]] = [[], []]
  for (const name of PARAMETER_NAMES)
    (sizeOf([whole(name)]) > PACK_LIMIT ? large : small).push(name)
  const ranges = cut(width, Math.max(1, Math.floor(pieceSize / hidden)))
  const pieces = large.flatMap((parameter): Piece[] => {
    switch (parameter) {
      case 'fc1.weight':
        return [0, width].flatMap((side) =>
          ranges.map(([start, end]): Piece => ({
            parameter,
            rows: [0, hidden],
            columns: [side + start, side + end],
          })),
        )
      case 'fc3.weight':
        return ranges.map((rows): Piece => ({ parameter, rows, columns: [0, hidden] }))
      default:
        return [whole(parameter)]
    }
  })
  return [
    ...pieces.map((piece) => ({
      name: `${piece.parameter}.${piece.rows[0]}.${piece.columns[0]}`,
      pieces: [piece],
      dims: dimsOf(piece),
    })),
    { name: 'small', pieces: small.map(whole), dims: [sizeOf(small.map(whole))] },
  ]
}

/** 0 … size in equal parts of at most `most`, multiples of 64 where that is possible. */
function cut(size: number, most: number): [number, number][] {
  const count = Math.ceil(size / Math.min(most, size))
  const step = most < 64 ? Math.ceil(size / count) : Math.ceil(size / count / 64) * 64
  return Array.from({ length: Math.ceil(size / step) }, (_, index) => [
    index * step,
    Math.min(size, (index + 1) * step),
  ])
}

function dimsOf({ rows, columns }: Piece): [number, number] {
  return [rows[1] - rows[0], columns[1] - columns[0]]
}

export function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + dimsOf(piece)[0] * dimsOf(piece)[1], 0)
}

/** Copies between a group's tensor and the parameters it is made of. */
export function copyGroup(
  { pieces }: ParameterGroup,
  shape: PredictorShape,
  weights: PredictorWeights,
  tensor: Float32Array,
  direction: 'from weights' | 'to weights',
): void {
  const all = parameterDims(shape)
  let at = 0
  for (const { parameter, rows, columns } of pieces) {
    const [, stride = 1] = all[parameter]
    const values = weights[parameter]
    const width = columns[1] - columns[0]
    for (let row = rows[0]; row < rows[1]; row += 1, at += width) {
      const start = row * stride + columns[0]
      if (direction === 'from weights') tensor.set(values.subarray(start, start + width), at)
      else values.set(tensor.subarray(at, at + width), start)
    }
  }
}

/**
 * Many training steps in one run: forward pass, loss, gradients and AdamW inside a `Loop`, so that parameters and
 * moments stay on the device.
 *
 * Inputs: `steps` (int64); `rows.0`, `rows.1`, … `[rows, slab]`, from which each step picks its samples by the int32
 * tables `left`, `right` (both neighbours) and `target`, `[steps, batch]`; `schedule` `[steps, 2]`; and for every group G
 * its `G.value`, `G.first` and `G.second`. Outputs: the same three of every group, named `G.value.next` and so on, and
 * `loss` `[steps]`.
 *
 * @param slabs Columns of each tensor of rows; together the width.
 */
export function trainingGraph(
  shape: PredictorShape,
  groups: readonly ParameterGroup[],
  slabs: readonly number[],
  lambda: number,
  settings: AdamWSettings,
): Graph {
  const g = new Graph()
  const steps = g.input('steps', [], 'int64')
  const rows = slabs.map((columns, index) => g.input(`rows.${index}`, ['rows', columns]))
  const [left, right, target] = (['left', 'right', 'target'] as const).map((name) =>
    g.input(name, ['steps', 'batch'], 'int32'),
  ) as [Value, Value, Value]
  const schedule = g.input('schedule', ['steps', 2])
  const state = groups.flatMap(({ name, dims }) =>
    PARTS.map((part) => g.input(`${name}.${part}`, dims)),
  )
  const loop = g.loop({
    tripCount: steps,
    scanDim: 'steps',
    state,
    body: (b, step, flat) => {
      const optimiser = groups.map((_, index): AdamWState => {
        const [value, first, second] = flat.slice(3 * index, 3 * index + 3)
        return { value: value!, first: first!, second: second! }
      })
      const values = groups.map((group, index) => views(b, group, optimiser[index]!.value, shape))
      const pick = (table: Value): Value => {
        const places = b.gather(table, step)
        return b.concat(
          rows.map((slab) => b.gather(slab, places)),
          1,
        )
      }
      const columns = inputColumns(b, shape.width, pick(left), pick(right))
      const predicted = blockedForward(b, blockedValues(groups, values), columns)
      const loss = predictorLoss(b, predicted, pick(target), lambda)
      const slopes = gradients(b, loss, values.flat())
      const now = b.gather(schedule, step)
      const scalars = { scale: b.slice(now, 0, 0, 1), offset: b.slice(now, 0, 1, 2) }
      let used = 0
      const next = groups.flatMap(({ pieces }, index) => {
        const own = slopes.slice(used, (used += pieces.length))
        const slope =
          pieces.length === 1
            ? own[0]!
            : b.concat(
                pieces.map((piece, k) => b.reshape(own[k]!, [sizeOf([piece])])),
                0,
              )
        const updated = adamw(b, optimiser[index]!, slope, scalars, settings)
        return PARTS.map((part) => updated[part])
      })
      return { state: next, scans: [loss] }
    },
  })
  stateNames(groups).forEach((name, index) => g.output(`${name}.next`, loop.state[index]!))
  g.output('loss', loop.scans[0]!)
  return g
}

/** `fc1.weight.0.0.value`, `fc1.weight.0.0.first`, … in the order of the graph's inputs. */
export function stateNames(groups: readonly ParameterGroup[]): string[] {
  return groups.flatMap(({ name }) => PARTS.map((part) => `${name}.${part}`))
}

/** A group's pieces in their own shapes. */
function views(
  b: Graph,
  { pieces }: ParameterGroup,
  value: Value,
  shape: PredictorShape,
): readonly Value[] {
  if (pieces.length === 1) return [value]
  let start = 0
  return pieces.map((piece) => {
    const size = sizeOf([piece])
    const part = b.slice(value, 0, start, start + size)
    start += size
    return b.reshape(part, parameterDims(shape)[piece.parameter])
  })
}

function blockedValues(
  groups: readonly ParameterGroup[],
  values: readonly (readonly Value[])[],
): BlockedValues {
  const first: WeightBlock[] = []
  const last: WeightBlock[] = []
  const others: Partial<Record<ParameterName, Value>> = {}
  groups.forEach(({ pieces }, index) =>
    pieces.forEach(({ parameter, rows, columns }, k) => {
      const value = values[index]![k]!
      if (parameter === 'fc1.weight') first.push({ start: columns[0], end: columns[1], value })
      else if (parameter === 'fc3.weight') last.push({ start: rows[0], end: rows[1], value })
      else others[parameter] = value
    }),
  )
  return { first, last, others: others as BlockedValues['others'] }
}

/** Columns of [left right], without joining both where one side is asked for. */
function inputColumns(
  b: Graph,
  width: number,
  left: Value,
  right: Value,
): (start: number, end: number) => Value {
  const within = (x: Value, start: number, end: number): Value =>
    start === 0 && end === width ? x : b.slice(x, 1, start, end)
  return (start, end) => {
    if (end <= width) return within(left, start, end)
    if (start >= width) return within(right, start - width, end - width)
    return b.concat([left, right], 1)
  }
}
