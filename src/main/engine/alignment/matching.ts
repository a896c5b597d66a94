/**
 * @file Which neurons and heads of a layer are those of the layer before: the permutation with the least squared distance
 * between all that belongs to a unit, found as an assignment (weight matching, Ainsworth et al. 2023, arXiv 2209.04836).
 */
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { transposed } from '../lib/matrix'
import { elementsOf } from '../architectures/Architecture'
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime } from '../onnx/Runtime'
import { assign } from './assignment'
import type { LayerOrder } from './orders'

/** Neurons whose products with all of the other layer's are computed at once. */
const BLOCK = 1024

/** Products of two layers' features `[n, width]`, as their assignment needs them. */
export class LayerMatcher {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
  ) {}

  static async create(checkpoint: Checkpoint, runtime: Runtime): Promise<LayerMatcher> {
    const g = new Graph()
    const { hiddenSize } = checkpoint.config
    const left = g.input('left', ['block', hiddenSize])
    const right = g.input('right', ['all', hiddenSize])
    g.output('products', g.linear(left, right))
    return new LayerMatcher(checkpoint, runtime, await runtime.compile(g))
  }

  dispose(): Promise<void> {
    return this.kernel.dispose()
  }

  /**
   * For each unit of layer `left` the one of layer `right` that is matched with it.
   *
   * @param onProgress Called with the share that is done; may throw to stop.
   */
  async match(
    left: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): Promise<LayerOrder> {
    const attention = await this.#heads(left, right)
    await onProgress(0.1)
    const neurons = await this.#neurons(left, right, onProgress)
    return { ...attention, neurons }
  }

  async #neurons(
    left: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): Promise<Int32Array> {
    const n = this.checkpoint.config.intermediateSize
    const cost = new Float32Array(n * n)
    const parts = ['gate_proj', 'up_proj', 'down_proj']
    for (const [index, slot] of parts.entries()) {
      await this.#addProducts(
        cost,
        n,
        await this.#features(slot, left),
        await this.#features(slot, right),
      )
      await this.#addBiases(cost, n, slot, left, right)
      await onProgress(0.1 + (0.4 * (index + 1)) / parts.length)
    }
    return assign(cost, n, (done) => onProgress(0.5 + 0.5 * done))
  }

  /** `cost −= left · rightᵀ`, both `[n, hiddenSize]`. */
  async #addProducts(
    cost: Float32Array,
    n: number,
    left: Float32Array,
    right: Float32Array,
  ): Promise<void> {
    const width = this.checkpoint.config.hiddenSize
    const all = await this.runtime.upload(right, [n, width])
    try {
      for (let start = 0; start < n; start += BLOCK) {
        const end = Math.min(n, start + BLOCK)
        const rows = left.subarray(start * width, end * width)
        const block = await this.runtime.upload(rows, [end - start, width])
        const results = await this.kernel.run({ left: block, right: all })
        const products = results.floats('products')
        for (let i = 0; i < products.length; i += 1) cost[start * n + i]! -= products[i]!
        this.runtime.release(block)
      }
    } finally {
      this.runtime.release(all)
    }
  }

  async #addBiases(
    cost: Float32Array,
    n: number,
    slot: string,
    left: number,
    right: number,
  ): Promise<void> {
    if (slot === 'down_proj') return
    const [a, b] = [await this.#bias(slot, left), await this.#bias(slot, right)]
    if (!a || !b) return
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < n; j += 1) cost[i * n + j]! -= a[i]! * b[j]!
    }
  }

  /** Key/value heads by all that belongs to them, their query heads matched inside. */
  async #heads(left: number, right: number): Promise<Pick<LayerOrder, 'groups' | 'heads'>> {
    const { numKeyValueHeads: count, numAttentionHeads } = this.checkpoint.config
    const perGroup = numAttentionHeads / count
    const queries = await this.#headProducts(['q_proj', 'o_proj'], numAttentionHeads, left, right)
    const cost = await this.#headProducts(['k_proj', 'v_proj'], count, left, right)
    const inside = new Map<number, Int32Array>()
    for (let g = 0; g < count; g += 1) {
      for (let h = 0; h < count; h += 1) {
        const own = new Float32Array(perGroup * perGroup)
        for (let a = 0; a < perGroup; a += 1) {
          for (let b = 0; b < perGroup; b += 1) {
            const row = (g * perGroup + a) * numAttentionHeads
            own[a * perGroup + b] = queries[row + h * perGroup + b]!
          }
        }
        const found = await assign(own, perGroup)
        found.forEach((b, a) => {
          cost[g * count + h]! += own[a * perGroup + b]!
        })
        inside.set(g * count + h, found)
      }
    }
    const groups = await assign(cost, count)
    const heads = new Int32Array(numAttentionHeads)
    groups.forEach((h, g) => {
      inside.get(g * count + h)?.forEach((b, a) => {
        heads[g * perGroup + a] = h * perGroup + b
      })
    })
    return { groups, heads }
  }

  /** `[count, count]`: minus the inner products of each head's parts of the slots, biases included. */
  async #headProducts(
    slots: readonly string[],
    count: number,
    left: number,
    right: number,
  ): Promise<Float32Array> {
    const { headDim, hiddenSize } = this.checkpoint.config
    const cost = new Float32Array(count * count)
    const add = (a: Float32Array, b: Float32Array, size: number): void => {
      for (let i = 0; i < count; i += 1) {
        for (let j = 0; j < count; j += 1) {
          let sum = 0
          for (let k = 0; k < size; k += 1) sum += a[i * size + k]! * b[j * size + k]!
          cost[i * count + j]! -= sum
        }
      }
    }
    for (const slot of slots) {
      add(await this.#features(slot, left), await this.#features(slot, right), headDim * hiddenSize)
      const [a, b] = [await this.#bias(slot, left), await this.#bias(slot, right)]
      if (slot !== 'o_proj' && a && b) add(a, b, headDim)
    }
    return cost
  }

  /** A slot's matrix with a row for each neuron, or each dimension of a head: `[units, hiddenSize]`. */
  async #features(slot: string, layer: number): Promise<Float32Array> {
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

  async #bias(slot: string, layer: number): Promise<Float32Array | null> {
    const { bias } = this.checkpoint.slot(slot)
    if (!bias) return null
    const name = this.checkpoint.layerTensorName(layer, bias.tensor)
    const [rows = 0] = bias.shape
    return this.checkpoint.readFloat32(name, { elements: [bias.offset, bias.offset + rows] })
  }
}
