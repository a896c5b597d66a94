import type { Architecture } from '../architectures/Architecture'
import { windowOfLayer, type ModelConfig } from '../architectures/config'
import type { Runtime, Tensor } from '../onnx/Runtime'
import { buildDecoderLayer, LAYER_IO, shapeKey, type LayerShape } from './decoderLayer'
import type { Batch } from './batches'
import { KernelCache } from './KernelCache'
import type { StreamedLayer } from './layerStream'
import { ropeClass } from './rope'
import { layerTables } from './tables'

/** A model's layers as graphs, compiled once for each shape, with the tables that they share. */
export class LayerKernels {
  readonly #kernels: KernelCache
  readonly #tables = new Map<string, Readonly<Record<string, Tensor>>>()

  constructor(
    private readonly model: { readonly architecture: Architecture; readonly config: ModelConfig },
    private readonly runtime: Runtime,
  ) {
    this.#kernels = new KernelCache(runtime)
  }

  /**
   * Runs a batch's hidden states `[sequences, length, hiddenSize]` through a layer.
   *
   * @returns A new array of the same shape.
   */
  async forward(
    { layer, weights }: StreamedLayer,
    hidden: Float32Array,
    { length, sequences }: Batch,
  ): Promise<Float32Array> {
    const { architecture, config } = this.model
    const longest = Math.max(...sequences.map((each) => each.length))
    const shape = this.shapeOf(layer, length)
    const kernel = await this.#kernels.get(shapeKey(shape), () =>
      buildDecoderLayer(config, architecture, shape),
    )
    const result = await kernel.run({
      ...weights,
      ...this.tables(shape, longest),
      [LAYER_IO.input]: this.runtime.float32(hidden, [sequences.length, length, config.hiddenSize]),
    })
    return result.floats(LAYER_IO.output)
  }

  /** What decides the layer's graph; the window is `null` where no sequence is longer, so that layers share a graph. */
  shapeOf(layer: number, length: number): LayerShape {
    const { architecture, config } = this.model
    const window = windowOfLayer(config, layer)
    const form = architecture.formOf(config, layer)
    return {
      length,
      window: window === null || window >= length ? null : window,
      rope: config.layerRopes[layer] ?? 'main',
      ...(form === 0 ? {} : { form }),
    }
  }

  /**
   * The inputs that depend on nothing but the shape and how long the sequences are without their padding.
   */
  tables(shape: LayerShape, tokens: number): Readonly<Record<string, Tensor>> {
    const { config } = this.model
    const key = `${shapeKey(shape)}/${ropeClass(config, tokens)}`
    let tables = this.#tables.get(key)
    if (!tables) {
      tables = layerTables(this.runtime, config, shape, { tokens })
      this.#tables.set(key, tables)
    }
    return tables
  }

  dispose(): Promise<void> {
    return this.#kernels.dispose()
  }
}
