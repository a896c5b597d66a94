/** @file What belongs to a layer's neurons and heads, and the products of two layers' neurons. */
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { transposed } from '../lib/matrix'
import { elementsOf, type RowPart } from '../architectures/Architecture'
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime } from '../onnx/Runtime'

/** Neurons whose products with all of the other layer's are computed at once. */
export const BLOCK = 1024

/** Products of neurons by their features, `[n, width]` each. */
export class NeuronProducts {
  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    private readonly width: number,
  ) {}

  static async create(runtime: Runtime, width: number): Promise<NeuronProducts> {
    const g = new Graph()
    const left = g.input('left', ['block', width])
    const right = g.input('right', ['all', width])
    g.output('products', g.linear(left, right))
    return new NeuronProducts(runtime, await runtime.compile(g), width)
  }

  dispose(): Promise<void> {
    return this.kernel.dispose()
  }

  /** `cost −= left · rightᵀ`, cost `[n, n]`. */
  async subtract(
    cost: Float32Array,
    n: number,
    left: Float32Array,
    right: Float32Array,
  ): Promise<void> {
    const { runtime, width } = this
    const all = await runtime.upload(right, [n, width])
    try {
      for (let start = 0; start < n; start += BLOCK) {
        const end = Math.min(n, start + BLOCK)
        const rows = left.subarray(start * width, end * width)
        const block = await runtime.upload(rows, [end - start, width])
        const results = await this.kernel.run({ left: block, right: all })
        const products = results.floats('products')
        for (let i = 0; i < products.length; i += 1) cost[start * n + i]! -= products[i]!
        runtime.release(block)
      }
    } finally {
      runtime.release(all)
    }
  }
}

/** Reads layers by their units. */
export class LayerUnits {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly products: NeuronProducts,
  ) {}

  static async create(checkpoint: Checkpoint, runtime: Runtime): Promise<LayerUnits> {
    const products = await NeuronProducts.create(runtime, checkpoint.config.hiddenSize)
    return new LayerUnits(checkpoint, products)
  }

  dispose(): Promise<void> {
    return this.products.dispose()
  }

  /** `cost −= left · rightᵀ` of a slot of two layers' neurons, biases included: `[n, n]`. */
  async subtractNeurons(
    cost: Float32Array,
    slot: string,
    left: number,
    right: number,
  ): Promise<void> {
    const n = this.checkpoint.config.intermediateSize
    await this.products.subtract(
      cost,
      n,
      await this.features(slot, left),
      await this.features(slot, right),
    )
    await this.#subtractBiases(cost, n, slot, left, right)
  }

  async #subtractBiases(
    cost: Float32Array,
    n: number,
    slot: string,
    left: number,
    right: number,
  ): Promise<void> {
    if (slot === 'down_proj') return
    const [a, b] = [await this.vector(slot, 'bias', left), await this.vector(slot, 'bias', right)]
    if (!a || !b) return
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < n; j += 1) cost[i * n + j]! -= a[i]! * b[j]!
    }
  }

  /** A slot's matrix with a row for each neuron, or each dimension of a head: `[units, hiddenSize]`. */
  async features(slot: string, layer: number): Promise<Float32Array> {
    const { tensor, offset, shape } = this.checkpoint.slot(slot).weight
    const [rows = 0, width = 0] = shape
    const values = await this.checkpoint.readFloat32(
      this.checkpoint.layerTensorName(layer, tensor),
      {
        elements: [offset, offset + elementsOf(shape)],
      },
    )
    return slot === 'o_proj' || slot === 'down_proj' ? transposed(values, rows, width) : values
  }

  /** `[rows]`, zeros where only other layers have it; `null` where the slot has none. */
  async vector(slot: string, part: RowPart, layer: number): Promise<Float32Array | null> {
    const { [part]: span } = this.checkpoint.slot(slot)
    if (!span) return null
    const name = this.checkpoint.layerTensorName(layer, span.tensor)
    const [rows = 0] = span.shape
    if (!this.checkpoint.tensors.has(name)) return new Float32Array(rows)
    return this.checkpoint.readFloat32(name, { elements: [span.offset, span.offset + rows] })
  }
}
