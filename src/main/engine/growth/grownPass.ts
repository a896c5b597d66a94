/** @file The forward pass of a grown model that has not been written. */
import { elementsOf, placeInLayers } from '../architectures/Architecture'
import type { PlannedLayer } from '@shared/plan'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { ForwardPass } from '../decoder/ForwardPass'
import { feedLayer, type StreamedLayer } from '../decoder/layerStream'
import type { Runtime } from '../onnx/Runtime'
import type { GrownLayout, LaidOutTensor } from './grownLayout'
import { readLaidOut, type Filler } from './grownTensors'

export interface UnwrittenModel {
  /** The base. */
  readonly checkpoint: Checkpoint
  readonly layers: readonly PlannedLayer[]
  readonly layout: GrownLayout
  readonly filler: Filler | undefined
}

/** A pass through the layers as they would be written, one in memory at a time, before they are rounded. */
export function passThrough(
  model: UnwrittenModel,
  runtime: Runtime,
  signal: AbortSignal,
): ForwardPass {
  return new ForwardPass(model.checkpoint, runtime, signal, {}, () =>
    streamGrown(model, runtime, signal),
  )
}

/** The layers as they would be written, one in memory at a time, before they are rounded. */
export async function* streamGrown(
  { checkpoint, layers, layout, filler }: UnwrittenModel,
  runtime: Runtime,
  signal: AbortSignal,
): AsyncGenerator<StreamedLayer, void> {
  const { architecture, config } = checkpoint
  const own = layers.map((): { suffix: string; tensor: LaidOutTensor }[] => [])
  for (const tensor of layout.tensors) {
    const place = placeInLayers(architecture, tensor.name)
    if (place) own[place.layer]?.push({ suffix: place.suffix, tensor })
  }
  const weights = new Map<string, Float32Array>()
  for (const [index, { source }] of layers.entries()) {
    signal.throwIfAborted()
    const needed = architecture.layerTensors(config, source)
    const tensors = (own[index] ?? []).filter(({ suffix }) =>
      needed.some((each) => each.suffix === suffix),
    )
    // Biases that the files leave out are zero.
    const missing = needed.filter(({ suffix }) => tensors.every((each) => each.suffix !== suffix))
    for (const { suffix, shape } of missing)
      weights.set(suffix, new Float32Array(elementsOf(shape)))
    await readLaidOut(checkpoint, tensors, filler, weights)
    const fed = await feedLayer(checkpoint, runtime, weights, source)
    try {
      // The window and the tables are those of the layer whose place it takes.
      yield { layer: source, weights: fed }
    } finally {
      for (const tensor of Object.values(fed)) runtime.release(tensor)
    }
  }
}
