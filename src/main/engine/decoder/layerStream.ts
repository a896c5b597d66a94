import { elementsOf } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Runtime, Tensor } from '../onnx/Runtime'
import { layerInputs } from './decoderLayer'
import { LayerReader, type LayerWeights } from './LayerReader'

/** A layer whose weights are on the device, by the names of `layerInputs`. */
export interface StreamedLayer {
  readonly layer: number
  readonly weights: Readonly<Record<string, Tensor>>
}

/**
 * A checkpoint's layers one after another: each is given up when the next is asked for, which is read in the meantime.
 *
 * @param order Which layers, in which order; all of them, from the first, without it.
 */
export async function* streamLayers(
  checkpoint: Checkpoint,
  runtime: Runtime,
  signal: AbortSignal,
  order: readonly number[] = allLayers(checkpoint),
): AsyncGenerator<StreamedLayer, void> {
  const reader = new LayerReader(checkpoint)
  try {
    for (const [place, layer] of order.entries()) {
      signal.throwIfAborted()
      const read = await reader.read(layer, order[place + 1] ?? null)
      const weights = await feedLayer(checkpoint, runtime, read, layer)
      try {
        yield { layer, weights }
      } finally {
        for (const tensor of Object.values(weights)) runtime.release(tensor)
      }
    }
  } finally {
    await reader.settle()
  }
}

function allLayers({ config }: Checkpoint): number[] {
  return Array.from({ length: config.numHiddenLayers }, (_, layer) => layer)
}

/** Puts a layer's weights on the device, by the names of `layerInputs`; on the host they are views of what was read. */
export async function feedLayer(
  { architecture, config }: Checkpoint,
  runtime: Runtime,
  weights: LayerWeights,
  layer: number,
): Promise<Record<string, Tensor>> {
  const feeds: Record<string, Tensor> = {}
  for (const { name, tensor, offset, shape } of layerInputs(architecture, config, layer)) {
    const values = weights.get(tensor)?.subarray(offset, offset + elementsOf(shape))
    if (values) feeds[name] = await runtime.upload(values, shape)
  }
  return feeds
}
