/** @file Decoder layers that keep what they need of their tokens, so that one that follows is computed alone. */
import type { Architecture } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import {
  HIDDEN,
  inputLayer,
  keptShapes,
  LAYER_IO,
  layerParts,
  tableShapes,
  type LayerShape,
} from '../decoder/decoderLayer'
import { Graph } from '../onnx/graph'

/** What {@link buildNextLayer} calls what was kept of the tokens before. */
export const pastOf = (name: string): string => `past/${name}`

/**
 * A layer over the tokens of a prompt. As `buildDecoderLayer`, of one sequence, with what is kept (`keptShapes`) as further
 * outputs.
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
  for (const [name, value] of Object.entries(kept)) g.output(name, value)
  return g
}

/**
 * A layer over one token. Inputs: `hidden` `[1, 1, hiddenSize]`, the tables of its position, with a `mask` `[1, 'past+1']`
 * ({@link nextMask}), what was kept of the tokens before (`keptShapes`, under the names of {@link pastOf}), and the layer's
 * weights. Outputs: `next` `[1, 1, hiddenSize]`, and what is kept once there is one token more.
 *
 * @param shape Of one token; it has no window, which the mask alone decides.
 */
export function buildNextLayer(
  config: ModelConfig,
  architecture: Architecture,
  shape: LayerShape,
): Graph {
  const g = new Graph()
  const hasMask = tableShapes(config, shape).some(([name]) => name === LAYER_IO.mask)
  const given = {
    hidden: g.input(LAYER_IO.input, [1, 1, config.hiddenSize]),
    ...(hasMask ? { mask: g.input(LAYER_IO.mask, [1, 'past+1']) } : {}),
  }
  const past = keptShapes(config, shape).map(
    ([name, dims]) => [name, g.input(pastOf(name), dims)] as const,
  )
  const { next, kept } = layerParts(g, config, architecture, shape, {
    ...inputLayer(g, config, architecture, shape, given),
    past: Object.fromEntries(past),
  })
  g.output(LAYER_IO.output, next)
  for (const [name, value] of Object.entries(kept)) g.output(name, value)
  return g
}

/** The mask of the token after `past` others, `[past + 1]`: it sees itself and as many before it as its window holds. */
export function nextMask(past: number, window: number | null): Float32Array {
  const mask = new Float32Array(past + 1)
  if (window !== null) mask.fill(HIDDEN, 0, Math.max(0, past + 1 - window))
  return mask
}
