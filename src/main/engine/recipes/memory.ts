/** @file What a training with `train.py` takes of each GPU's memory. Counted, not measured. */
import type { RecipeMemory } from '@shared/recipes'
import type { RecipeSubject } from './RecipeSubject'

const FLOAT = 4
/** AdamW's first and second moment, float32. */
const MOMENTS = 2 * FLOAT

/** What decides it. */
export type TrainedShape = Pick<
  RecipeSubject,
  | 'parameters'
  | 'trainedParameters'
  | 'layers'
  | 'newLayers'
  | 'dtype'
  | 'hiddenSize'
  | 'intermediateSize'
  | 'vocabSize'
>

/**
 * Bytes on each of `gpus` GPUs, with one window of `context` tokens at a time. Weights, gradients and moments are divided
 * among them (FSDP2), but for those of two layers and of the tables, which are whole while they are used.
 *
 * - frozen: as stored.
 * - trained: float32 weights and gradients, and the products' 16-bit copy of the weights.
 * - optimiser: two float32 moments.
 * - activations, with checkpointing: each layer's input from the first trained one up; and the greater of a layer's
 *   forward and backward pass (16·hidden + 6·MLP values a token) and of the logits (float32 three times, and 16-bit twice).
 */
export function trainingMemory(
  shape: TrainedShape,
  { gpus, context }: { readonly gpus: number; readonly context: number },
): RecipeMemory {
  const { parameters, trainedParameters, hiddenSize, intermediateSize, vocabSize } = shape
  const layers = shape.layers.length
  const stored = shape.dtype === 'float32' ? FLOAT : 2
  const copy = stored === FLOAT ? 0 : stored
  const perLayer = trainedParameters / shape.newLayers.length
  const tables = parameters - perLayer * layers
  const gathered = gpus === 1 ? 0 : stored * (2 * perLayer + tables)

  const kept = (layers - (shape.newLayers[0] ?? 0)) * hiddenSize * stored
  const layer = (16 * hiddenSize + 6 * intermediateSize) * stored
  const logits = vocabSize * (3 * FLOAT + 2 * copy)
  const parts = {
    frozen: Math.ceil(((parameters - trainedParameters) * stored) / gpus + gathered),
    trained: Math.ceil((trainedParameters * (2 * FLOAT + copy)) / gpus),
    optimizer: Math.ceil((trainedParameters * MOMENTS) / gpus),
    activations: Math.ceil(context * (kept + Math.max(layer, logits))),
  }
  const { frozen, trained, optimizer, activations } = parts
  return { gpus, ...parts, total: frozen + trained + optimizer + activations }
}
