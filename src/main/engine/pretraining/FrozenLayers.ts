import type { Checkpoint } from '../checkpoint/Checkpoint'
import { feedLayer, streamLayers, type StreamedLayer } from '../decoder/layerStream'
import type { Runtime, Tensor } from '../onnx/Runtime'

/** The layers that are not trained: some stay in memory, the others are read from the files in each pass. */
export class FrozenLayers {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly pinned: ReadonlyMap<number, Readonly<Record<string, Tensor>>>,
  ) {}

  static async open(
    checkpoint: Checkpoint,
    runtime: Runtime,
    pins: readonly number[],
    signal: AbortSignal,
  ): Promise<FrozenLayers> {
    const { architecture, config } = checkpoint
    const pinned = new Map<number, Readonly<Record<string, Tensor>>>()
    for (const layer of pins) {
      signal.throwIfAborted()
      const weights = new Map<string, Float32Array>()
      for (const { suffix } of architecture.layerTensors(config, layer)) {
        const name = checkpoint.layerTensorName(layer, suffix)
        weights.set(suffix, await checkpoint.readFloat32(name))
      }
      pinned.set(layer, await feedLayer(checkpoint, runtime, weights, layer))
    }
    return new FrozenLayers(checkpoint, runtime, pinned)
  }

  /** A layer that stays in memory. */
  weights(layer: number): Readonly<Record<string, Tensor>> | undefined {
    return this.pinned.get(layer)
  }

  /** Layers in the given order; one that is read is given up when the next is asked for. */
  async *visit(order: readonly number[], signal: AbortSignal): AsyncGenerator<StreamedLayer, void> {
    const read = order.filter((layer) => !this.pinned.has(layer))
    const stream = streamLayers(this.checkpoint, this.runtime, signal, read)
    try {
      for (const layer of order) {
        const weights = this.pinned.get(layer)
        if (weights) {
          yield { layer, weights }
          continue
        }
        const next = await stream.next()
        if (!next.done) yield next.value
      }
    } finally {
      await stream.return()
    }
  }

  dispose(): void {
    for (const weights of this.pinned.values()) {
      for (const tensor of Object.values(weights)) this.runtime.release(tensor)
    }
  }
}
