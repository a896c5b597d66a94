/**
 * @file The graphs of a fit: the statistics of a block's two output matrices from the loss's slope, and the solution of a
 * symmetric system by conjugate gradients, of products only.
 */
import type { Architecture } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import {
  inputLayer,
  layerInputs,
  layerParts,
  type LayerInput,
  type LayerShape,
} from '../decoder/decoderLayer'
import { CONVOLUTION_OUTPUT } from '../decoder/shortConvolution'
import { vjp } from '../onnx/gradients'
import { Graph, type Value } from '../onnx/graph'
import { SLOPE_IO } from '../pretraining/graphs'

/** The slots whose results go into the residual stream; `o_proj` stands for a convolution's output matrix as well. */
export const OUTPUT_SLOTS = ['o_proj', 'down_proj'] as const
export type OutputSlot = (typeof OUTPUT_SLOTS)[number]

/** Which of them a layer's slot is; `null` for another. */
export function outputSlotOf(slot: string): OutputSlot | null {
  return (
    OUTPUT_SLOTS.find((each) => each === (slot === CONVOLUTION_OUTPUT ? 'o_proj' : slot)) ?? null
  )
}

/** The same of a weight or bias, by its name among `layerInputs`. */
export function outputOfInput(name: string): OutputSlot | null {
  return outputSlotOf(name.slice(0, name.lastIndexOf('.')))
}

/**
 * What is summed over tokens t, for features f that an output matrix is applied to and slopes g of the loss at its result:
 * `features` Σ f fᵀ `[d_in, d_in]`, `gradient` Σ g fᵀ `[d_out, d_in]`, `slopes` Σ g gᵀ `[d_out, d_out]`.
 */
export const SUMS = ['features', 'gradient', 'slopes'] as const
export type SumName = (typeof SUMS)[number]

export const sumOf = (slot: OutputSlot, name: SumName): string => `${slot}/${name}`
/** The input that a sum is added to. */
export const sumBefore = (slot: OutputSlot, name: SumName): string => `before/${sumOf(slot, name)}`
/** Output: the trace of Σ f fᵀ or of Σ g gᵀ, of this run alone. */
export const traceOf = (slot: OutputSlot, name: 'features' | 'slopes'): string =>
  `trace/${sumOf(slot, name)}`

interface Model {
  readonly architecture: Architecture
  readonly config: ModelConfig
}

/** The weights that a block whose output matrices are zero is computed with. */
export function identityInputs({ architecture, config }: Model, layer: number): LayerInput[] {
  return layerInputs(architecture, config, layer).filter(({ name }) => outputOfInput(name) === null)
}

/** Sums that a kernel gives: in an identity block the slope at both branches' results is the same, so one Σ g gᵀ does. */
export function sumsOf(slot: OutputSlot, isIdentity: boolean): readonly SumName[] {
  return isIdentity && slot === 'o_proj' ? ['features', 'gradient'] : SUMS
}

/**
 * Statistics of a block. Inputs: those of `buildDecoderLayer` (without the output matrices where `isIdentity`), `slope`
 * `['batch', length, hiddenSize]`, and with `accumulates` `before/SLOT/SUM`. Outputs: `SLOT/SUM`, `trace/SLOT/SUM` `[]`, and
 * where the block is none, `slope.below`, the slope at its input. All float32.
 */
export function buildBlockStatistics(
  { architecture, config }: Model,
  shape: LayerShape,
  { isIdentity, accumulates }: { readonly isIdentity: boolean; readonly accumulates: boolean },
): Graph {
  const g = new Graph()
  const given = isIdentity
    ? {
        weights: new Map(
          identityInputs({ architecture, config }, shape.form ?? 0).map(({ name, shape: dims }) => [
            name,
            g.input(name, dims),
          ]),
        ),
      }
    : {}
  const inputs = inputLayer(g, config, architecture, shape, given)
  const slope = g.input(SLOPE_IO.above, ['batch', shape.length, config.hiddenSize])
  const parts = layerParts(g, config, architecture, shape, inputs, { isIdentity })
  const { residual } = config.scales
  const summed = g.reshape(slope, ['rows', config.hiddenSize])
  const rows = residual === 1 ? summed : g.mul(summed, residual)
  const [attentionSlope, below] = isIdentity
    ? [rows, null]
    : vjp(g, [parts.next], [slope], [parts.attention, inputs.hidden])
  const of: Record<OutputSlot, { features: Value; slopes: Value }> = {
    o_proj: { features: parts.context, slopes: attentionSlope },
    down_proj: { features: parts.features, slopes: rows },
  }
  for (const slot of OUTPUT_SLOTS) {
    const { features, slopes } = of[slot]
    const operands: Record<SumName, readonly [Value, Value]> = {
      features: [features, features],
      gradient: [slopes, features],
      slopes: [slopes, slopes],
    }
    for (const name of sumsOf(slot, isIdentity)) {
      const [left, right] = operands[name]
      const dims = [Number(left.shape[1]), Number(right.shape[1])]
      const before = accumulates ? { c: g.input(sumBefore(slot, name), dims) } : {}
      g.output(sumOf(slot, name), g.gemm(left, right, { transA: true, ...before }))
      if (name !== 'gradient') g.output(traceOf(slot, name), g.sumSquares(left))
    }
  }
  if (below) g.output(SLOPE_IO.below, below)
  return g
}

export const SOLVE_IO = {
  /** `[n, n]`, symmetric and not negative. */
  matrix: 'matrix',
  right: 'right',
  /** `[1]`: what is added on the diagonal. */
  damping: 'damping',
  /** `[1]`: what the solution is multiplied by. */
  factor: 'factor',
  solution: 'solution',
} as const

/** Keeps a system whose right side is zero from dividing by it. */
const TINY = 1e-30

/**
 * `factor · X` with `X (M + damping·I) = R` (`rows`: R `[m, n]`) or `(M + damping·I) X = R` (`columns`: R `[n, m]`), by some
 * iterations of the method of conjugate gradients (Hestenes & Stiefel, 1952), each row or column a system of its own.
 */
export function buildSolve(
  size: number,
  others: number,
  side: 'rows' | 'columns',
  iterations: number,
): Graph {
  const g = new Graph()
  const matrix = g.input(SOLVE_IO.matrix, [size, size])
  const right = g.input(SOLVE_IO.right, side === 'rows' ? [others, size] : [size, others])
  const damping = g.input(SOLVE_IO.damping, [1])
  const factor = g.input(SOLVE_IO.factor, [1])
  const axis = side === 'rows' ? 1 : 0
  const dot = (a: Value, b: Value): Value => g.sum(g.mul(a, b), [axis], true)
  let solution: Value | null = null
  let rest = right
  let direction = right
  let squares = dot(rest, rest)
  for (let iteration = 0; iteration < iterations; iteration += 1) {
    const product = side === 'rows' ? g.gemm(direction, matrix) : g.gemm(matrix, direction)
    const image = g.add(product, g.mul(direction, damping))
    const step = g.div(squares, g.add(dot(direction, image), TINY))
    const move = g.mul(direction, step)
    solution = solution ? g.add(solution, move) : move
    if (iteration === iterations - 1) break
    rest = g.sub(rest, g.mul(image, step))
    const next = dot(rest, rest)
    direction = g.add(rest, g.mul(direction, g.div(next, g.add(squares, TINY))))
    squares = next
  }
  g.output(SOLVE_IO.solution, g.mul(solution ?? right, factor))
  return g
}
