import type { Graph, Value } from '../onnx/graph'
import type { Random } from '../random'

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
export type PredictorWeights = Readonly<Record<ParameterName, Float32Array>>

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

/** PyTorch's default for `nn.Linear`: weights and biases uniform within ±1/√fan_in. */
export function initialWeights(shape: PredictorShape, random: Random): PredictorWeights {
  const dims = parameterDims(shape)
  const uniform = (name: ParameterName, fanIn: number): Float32Array => {
    const bound = 1 / Math.sqrt(fanIn)
    const size = dims[name].reduce((product, dim) => product * dim, 1)
    return Float32Array.from({ length: size }, () => (2 * random.uniform() - 1) * bound)
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
  const first = g.relu(g.linear(x, p['fc1.weight'], p['fc1.bias']))
  const second = g.relu(g.linear(first, p['fc2.weight'], p['fc2.bias']))
  return g.linear(second, p['fc3.weight'], p['fc3.bias'])
}

/**
 * (1 − λ)·MSE(ŷ, y) + λ·(‖ŷ‖_F − ‖y‖_F)², norms over the whole mini-batch (ACL 2025, equation 5): the second term keeps
 * predictions from shrinking to zero.
 */
export function predictorLoss(g: Graph, predicted: Value, target: Value, lambda: number): Value {
  const error = g.mean(g.square(g.sub(predicted, target)))
  // The floor keeps the root's slope finite where a prediction is exactly zero.
  const norm = g.sqrt(g.max(g.sum(g.square(predicted)), 1e-30))
  const difference = g.sub(norm, g.sqrt(g.sum(g.square(target))))
  return g.add(g.mul(error, 1 - lambda), g.mul(g.square(difference), lambda))
}
