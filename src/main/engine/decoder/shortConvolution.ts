/** @file A gated short convolution in place of a layer's attention (LFM2): each channel sees a few tokens before its own. */
import type { Architecture } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import type { Graph, Shape, Value } from '../onnx/graph'

/** The slot whose product it adds to the residual stream, as `o_proj` of a layer that attends. */
export const CONVOLUTION_OUTPUT = 'conv.out_proj'

/** `B ⊙ x` of the last tokens, `[batch, taps − 1, hiddenSize]`: what the kernel sees of them from the next one. */
const KEPT = 'products'

/** The names and dimensions of what a convolution keeps of one sequence's tokens. */
export function keptByConvolution({
  convolution,
  hiddenSize,
}: ModelConfig): readonly (readonly [name: string, dims: Shape])[] {
  const { taps = 1 } = convolution ?? {}
  return taps === 1 ? [] : [[KEPT, [1, taps - 1, hiddenSize]]]
}

interface ConvolutionInputs {
  /** `[rows, hiddenSize]`: all tokens of all sequences. */
  readonly x: Value
  /** `[batch, length, hiddenSize]` of the sequences. */
  readonly dims: Shape
  readonly weights: ReadonlyMap<string, Value>
  /** What x gives in a slot, `[rows, hiddenSize]`. */
  readonly project: (x: Value, slot: string) => Value
  /** What was kept of the tokens before these; without it there are none. */
  readonly past?: Readonly<Record<string, Value>> | undefined
}

/**
 * `C ⊙ (kernel ∗ (B ⊙ x))` for `B`, `C` and `x` that the layer makes of a token: a sum of products with the tokens before it,
 * shifted by one each. Tokens before the first are zero.
 *
 * @returns `context` `[rows, hiddenSize]`, what `conv.out_proj` is applied to, and what is to be kept of all tokens so far.
 */
export function shortConvolution(
  g: Graph,
  { forward }: Architecture,
  { x, dims, weights, project, past }: ConvolutionInputs,
): { readonly context: Value; readonly kept: Readonly<Record<string, Value>> } {
  const [batch = 1, , hiddenSize = 1] = dims
  const length = Number(dims[1])
  const kernel = weights.get(`${forward.convolution}.weight`)!
  const bias = weights.get(`${forward.convolution}.bias`)
  const taps = Number(kernel.shape.at(-1))
  // A row for each tap, so that one multiplies a token's channels.
  const rows = g.transpose(g.reshape(kernel, [hiddenSize, taps]))
  const gated = g.mul(project(x, 'conv.b_proj'), project(x, 'conv.x_proj'))
  const here = g.reshape(gated, [batch, length, hiddenSize])
  const before = past?.[KEPT]
  const seen = before ? g.concat([before, here], 1) : g.pad(here, 1, taps - 1, 0)
  const terms = Array.from({ length: taps }, (_, tap) =>
    g.mul(g.slice(seen, 1, tap, tap + length), g.slice(rows, 0, tap, tap + 1)),
  )
  const sum = terms.reduce((all, term) => g.add(all, term))
  const convolved = g.reshape(bias ? g.add(sum, bias) : sum, x.shape)
  return {
    context: g.mul(project(x, 'conv.c_proj'), convolved),
    kept: taps === 1 ? {} : { [KEPT]: g.slice(seen, 1, length, length + taps - 1) },
  }
}
