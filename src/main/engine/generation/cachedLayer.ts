/** @file Decoder layers that keep their keys and values, so that a token that follows is computed alone. */
import type { Architecture } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import { HIDDEN, inputLayer, LAYER_IO, layerParts, type LayerShape } from '../decoder/decoderLayer'
import { Graph } from '../onnx/graph'

/** The names that {@link buildFirstLayer} and {@link buildNextLayer} have beside those of a layer. */
export const CACHE_IO = {
  pastKeys: 'pastKeys',
  pastValues: 'pastValues',
  keys: 'keys',
  values: 'values',
} as const

/**
 * A layer over the tokens of a prompt. As `buildDecoderLayer`, of one sequence, with `keys` and `values`
 * `[1, numKeyValueHeads, length, headDim]` as further outputs.
 *
 * @throws AppError `unsupported_architecture` for an activation that is not known.
 */
export function buildFirstLayer(
  config: ModelConfig,
  architecture: Architecture,
  shape: LayerShape,
): Graph {
  const g = new Graph()
  const hidden = g.input(LAYER_IO.input, [1, shape.length, config.hiddenSize])
  const inputs = inputLayer(g, config, architecture, shape, { hidden })
  const { next, kept } = layerParts(g, config, architecture, shape, inputs)
  g.output(LAYER_IO.output, next)
  g.output(CACHE_IO.keys, kept.keys)
  g.output(CACHE_IO.values, kept.values)
  return g
}

/**
 * A layer over one token. Inputs: `hidden` `[1, 1, hiddenSize]`, the tables of its position, `mask` `[1, 'past+1']`
 * ({@link nextMask}), `pastKeys` and `pastValues` `[1, numKeyValueHeads, 'past', headDim]`, and the layer's weights.
 * Outputs: `next` `[1, 1, hiddenSize]`, `keys` and `values` with one token more than the past.
 *
 * @param shape Of one token; it has no window, which the mask alone decides.
 */
export function buildNextLayer(
  config: ModelConfig,
  architecture: Architecture,
  shape: LayerShape,
): Graph {
  const g = new Graph()
  const past = (name: string) => g.input(name, [1, config.numKeyValueHeads, 'past', config.headDim])
  const given = {
    hidden: g.input(LAYER_IO.input, [1, 1, config.hiddenSize]),
    mask: g.input(LAYER_IO.mask, [1, 'past+1']),
  }
  const { next, kept } = layerParts(g, config, architecture, shape, {
    ...inputLayer(g, config, architecture, shape, given),
    past: { keys: past(CACHE_IO.pastKeys), values: past(CACHE_IO.pastValues) },
  })
  g.output(LAYER_IO.output, next)
  g.output(CACHE_IO.keys, kept.keys)
  g.output(CACHE_IO.values, kept.values)
  return g
}

/** The mask of the token after `past` others, `[past + 1]`: it sees itself and as many before it as its window holds. */
export function nextMask(past: number, window: number | null): Float32Array {
  const mask = new Float32Array(past + 1)
  if (window !== null) mask.fill(HIDDEN, 0, Math.max(0, past + 1 - window))
  return mask
}
