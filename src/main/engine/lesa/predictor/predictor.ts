import type { Graph, Value } from '../../onnx/graph'
import type { Random } from '../../lib/random'
import { sizeOf, type Parameter, type ParameterValues } from '../../training/parameters'

/**
 * The predictor's parameters in `nn.Linear` layout: an MLP 2·width → hidden → hidden → width with ReLU between
 * (ACL 2025, section 3.2).
 */
export const PARAMETER_NAMES = [
  'fc1.weight',
  'fc1.bias',
  'fc2.weight',
  'fc2.bias',
  'fc3.weight',
  'fc3.bias',
] as const
export type ParameterName = (typeof PARAMETER_NAMES)[number]

export interface PredictorShape {
  /** Length of one coordinate row, `d_in`. */
  readonly width: number
  readonly hidden: number
}

/** Float32 values of every parameter. */
export type PredictorWeights = ParameterValues<ParameterName>

/** Values of a graph for every parameter. */
export type PredictorValues = Readonly<Record<ParameterName, Value>>

export function parameterDims({ width, hidden }: PredictorShape): Record<ParameterName, number[]> {
  return {
    'fc1.weight': [hidden, 2 * width],
    'fc1.bias': [hidden],
    'fc2.weight': [hidden, hidden],
    'fc2.bias': [hidden],
    'fc3.weight': [width, hidden],
    'fc3.bias': [width],
  }
}

/**
 * The parameters as they are trained: in blocks of those weights' rows that grow with the width. The first layer's weight
 * is trained as its transpose `[2·width, hidden]`, for which both of its products are faster; its parts belong to the
 * left and the right neighbour.
 */
export function predictorParameters(shape: PredictorShape): Parameter<ParameterName>[] {
  const dims = parameterDims(shape)
  const layouts: Partial<Record<ParameterName, Pick<Parameter, 'isTransposed' | 'parts'>>> = {
    'fc1.weight': { isTransposed: true, parts: 2 },
    'fc3.weight': { parts: 1 },
  }
  return PARAMETER_NAMES.map((name) => ({ name, dims: dims[name], ...layouts[name] }))
}

/** PyTorch's default for `nn.Linear`: weights and biases uniform within ±1/√fan_in. */
export function initialWeights(shape: PredictorShape, random: Random): PredictorWeights {
  const dims = parameterDims(shape)
  const uniform = (name: ParameterName, fanIn: number): Float32Array => {
    const bound = 1 / Math.sqrt(fanIn)
    return Float32Array.from(
      { length: sizeOf(dims[name]) },
      () => (2 * random.uniform() - 1) * bound,
    )
  }
  const [first, second] = [2 * shape.width, shape.hidden]
  return {
    'fc1.weight': uniform('fc1.weight', first),
    'fc1.bias': uniform('fc1.bias', first),
    'fc2.weight': uniform('fc2.weight', second),
    'fc2.bias': uniform('fc2.bias', second),
    'fc3.weight': uniform('fc3.weight', second),
    'fc3.bias': uniform('fc3.bias', second),
  }
}

/** Predicted rows `[n, width]` from both neighbours' rows side by side, `[n, 2·width]`. */
export function predictorForward(g: Graph, p: PredictorValues, x: Value): Value {
  const first = g.linear(x, p['fc1.weight'], p['fc1.bias'])
  return afterFirstLayer(g, { ...p, 'fc3.weight': [p['fc3.weight']] }, first)[0]!
}

/** What follows the first layer; the last one's weight in blocks of rows, one below the other. */
export type LaterLayers = Readonly<
  Record<'fc2.weight' | 'fc2.bias' | 'fc3.bias', Value> & Record<'fc3.weight', readonly Value[]>
>

/**
 * The rest of {@link predictorForward}, from what the first layer gives before its ReLU, `[n, hidden]`.
 *
 * @returns The prediction's columns in blocks, `[n, rows of a block]` each.
 */
export function afterFirstLayer(g: Graph, p: LaterLayers, first: Value): Value[] {
  const second = g.relu(g.linear(g.relu(first), p['fc2.weight'], p['fc2.bias']))
  const blocks = p['fc3.weight']
  let start = 0
  return blocks.map((rows) => {
    const end = start + Number(rows.shape[0])
    const bias = blocks.length === 1 ? p['fc3.bias'] : g.slice(p['fc3.bias'], 0, start, end)
    start = end
    return g.linear(second, rows, bias)
  })
}

/**
 * (1 − λ)·MSE(ŷ, y) + λ·(‖ŷ‖_F − ‖y‖_F)², norms over the whole mini-batch (ACL 2025, equation 5): the second term keeps
 * predictions from shrinking to zero.
 *
 * @param predicted ŷ, its columns in blocks of known width.
 * @param target y in the same blocks.
 */
export function predictorLoss(
  g: Graph,
  predicted: readonly Value[],
  target: readonly Value[],
  lambda: number,
): Value {
  const sum = (values: readonly Value[]): Value => values.reduce((a, b) => g.add(a, b))
  const squares = (values: readonly Value[]): Value => sum(values.map((x) => g.sumSquares(x)))
  const width = predicted.reduce((all, block) => all + Number(block.shape[1]), 0)
  const rows = g.sum(g.expandLike(g.scalar(1), g.slice(target[0]!, 1, 0, 1)))
  const errors = squares(predicted.map((block, index) => g.sub(block, target[index]!)))
  // The floor keeps the root's slope finite where a prediction is exactly zero.
  const norm = g.sqrt(g.max(squares(predicted), 1e-30))
  const difference = g.sub(norm, g.sqrt(squares(target)))
  const error = g.div(g.mul(errors, (1 - lambda) / width), rows)
  return g.add(error, g.mul(g.square(difference), lambda))
}
