import type { Checkpoint } from '../checkpoint/Checkpoint'

/** One layer's tensors as float32, by their names within the layer. */
export type LayerWeights = ReadonlyMap<string, Float32Array>

/**
 * Reads a checkpoint's layers in order, each while the one before it is in use: two layers' weights in memory, in
 * buffers that are used again.
 */
export class LayerReader {
  readonly #checkpoint: Checkpoint
  readonly #buffers: [Map<string, Float32Array>, Map<string, Float32Array>] = [
    new Map<string, Float32Array>(),
    new Map<string, Float32Array>(),
  ]
  #pending: { readonly layer: number; readonly weights: Promise<LayerWeights> } | null = null

  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint
  }

  /** The layer's weights, valid until the layer after the next is asked for; `next` is read in the meantime. */
  async read(layer: number, next: number | null): Promise<LayerWeights> {
    const weights = await this.#start(layer)
    this.#pending = null
    if (next !== null) void this.#start(next)
    return weights
  }

  /** Waits for what is being read, so that the files can be closed. */
  async settle(): Promise<void> {
    await this.#pending?.weights.catch(() => undefined)
    this.#pending = null
  }

  #start(layer: number): Promise<LayerWeights> {
    if (this.#pending?.layer === layer) return this.#pending.weights
    this.#buffers.reverse()
    const weights = this.#load(layer, this.#buffers[0])
    // Awaited by the next `read`; until then a failure must not count as unhandled.
    weights.catch(() => undefined)
    this.#pending = { layer, weights }
    return weights
  }

  async #load(layer: number, buffers: Map<string, Float32Array>): Promise<LayerWeights> {
    const { architecture, config } = this.#checkpoint
    for (const { suffix } of architecture.layerTensors(config, layer)) {
      const into = buffers.get(suffix)
      const name = this.#checkpoint.layerTensorName(layer, suffix)
      buffers.set(suffix, await this.#checkpoint.readFloat32(name, into ? { into } : {}))
    }
    return buffers
  }
}
