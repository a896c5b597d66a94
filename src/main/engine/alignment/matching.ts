/**
 * @file Which neurons and heads of a layer are those of the layer before: the permutation with the least squared distance
 * between all that belongs to a unit, found as an assignment (weight matching, Ainsworth et al. 2023, arXiv 2209.04836).
 */
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Runtime } from '../onnx/Runtime'
import { assign } from './assignment'
import { LayerUnits } from './features'
import { ownOrder, type LayerOrder } from './orders'

/** Products of two layers' features `[n, width]`, as their assignment needs them. */
export class LayerMatcher {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly units: LayerUnits,
  ) {}

  static async create(checkpoint: Checkpoint, runtime: Runtime): Promise<LayerMatcher> {
    return new LayerMatcher(checkpoint, await LayerUnits.create(checkpoint, runtime))
  }

  dispose(): Promise<void> {
    return this.units.dispose()
  }

  /**
   * For each unit of the layers before layer `right`, from `first` on, the one of that layer that is matched with it: heads
   * are those of the last layer that attends, neurons those of the last one with an MLP. What it has none of, or first,
   * stays as it is.
   *
   * @param onProgress Called with the share that is done; may throw to stop.
   */
  async match(
    first: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): Promise<LayerOrder> {
    const own = ownOrder(this.checkpoint.config)
    const attending = this.#lastWith('q_proj', first, right)
    const attention = attending === null ? own : await this.#heads(attending, right)
    await onProgress(0.1)
    const dense = this.#lastWith('up_proj', first, right)
    const neurons = dense === null ? own.neurons : await this.#neurons(dense, right, onProgress)
    return { groups: attention.groups, heads: attention.heads, neurons }
  }

  /** `null` where layer `right` has no such slot either. */
  #lastWith(slot: string, first: number, right: number): number | null {
    if (!this.checkpoint.hasSlot(slot, right)) return null
    for (let layer = right - 1; layer >= first; layer -= 1) {
      if (this.checkpoint.hasSlot(slot, layer)) return layer
    }
    return null
  }

  async #neurons(
    left: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): Promise<Int32Array> {
    const n = this.checkpoint.config.intermediateSize
    const cost = new Float32Array(n * n)
    const parts = ['gate_proj', 'up_proj', 'down_proj'].filter((slot) =>
      this.checkpoint.hasSlot(slot, right),
    )
    for (const [index, slot] of parts.entries()) {
      await this.units.subtractNeurons(cost, slot, left, right)
      await onProgress(0.1 + (0.4 * (index + 1)) / parts.length)
    }
    return assign(cost, n, (done) => onProgress(0.5 + 0.5 * done))
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
      add(
        await this.units.features(slot, left),
        await this.units.features(slot, right),
        headDim * hiddenSize,
      )
      const [a, b] = [
        await this.units.vector(slot, 'bias', left),
        await this.units.vector(slot, 'bias', right),
      ]
      if (slot !== 'o_proj' && a && b) add(a, b, headDim)
    }
    return cost
  }
}
