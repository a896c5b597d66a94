import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readError } from '@system/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { ModelConfig } from '../architectures/config'
import { bytesOf } from '../lib/matrix'
import { composed, inverse, ownOrder, reorder, type LayerOrder } from './orders'

/** The orders in which neighbouring layers' neurons and heads go together, from a first layer on, whose own is kept. */
export class Alignment {
  /** @param orders From `first` on. */
  constructor(
    private readonly config: ModelConfig,
    readonly first: number,
    private readonly orders: readonly LayerOrder[],
  ) {}

  /** @param matches From each layer to the next one: which unit of that one is matched with each of its own. */
  static fromMatches(
    config: ModelConfig,
    first: number,
    matches: readonly LayerOrder[],
  ): Alignment {
    const orders = [ownOrder(config)]
    for (const match of matches) orders.push(composed(match, orders.at(-1)!))
    return new Alignment(config, first, orders)
  }

  /** A layer's values of a slot's matrix (or, with `width` 1, its bias) in the common order, in place. */
  align(values: Float32Array, width: number, slot: string, layer: number): Float32Array {
    return reorder(values, width, slot, this.orderOf(layer), this.config)
  }

  /** Values in the common order, back in a layer's own, in place. */
  restore(values: Float32Array, width: number, slot: string, layer: number): Float32Array {
    return reorder(values, width, slot, inverse(this.orderOf(layer)), this.config)
  }

  /** A layer's values in the own order of another layer, in place. */
  toOrderOf(
    values: Float32Array,
    width: number,
    slot: string,
    layers: { readonly from: number; readonly to: number },
  ): Float32Array {
    if (layers.from === layers.to) return values
    const order = composed(this.orderOf(layers.from), inverse(this.orderOf(layers.to)))
    return reorder(values, width, slot, order, this.config)
  }

  /** Units that are at another place than in their layer, over all units: 0 where every order is the layer's own. */
  get moved(): number {
    const each = this.orders.flatMap(({ neurons, groups, heads }) => [...[neurons, groups, heads]])
    const count = each.reduce((sum, order) => sum + order.length, 0)
    const moved = each.reduce((sum, order) => sum + order.filter((own, at) => own !== at).length, 0)
    return moved / Math.max(1, count)
  }

  /** Writes all orders, int32. */
  async save(folder: string): Promise<void> {
    const all = this.orders.flatMap(({ neurons, groups, heads }) => [
      ...neurons,
      ...groups,
      ...heads,
    ])
    await writeFile(join(folder, FILE), bytesOf(Int32Array.from(all)))
  }

  static async load(
    folder: string,
    { config }: Pick<Checkpoint, 'config'>,
    first: number,
  ): Promise<Alignment> {
    const file = join(folder, FILE)
    const bytes = await readFile(file).catch((error: unknown) => {
      throw readError(error, file, 'damaged_file')
    })
    const all = new Int32Array(
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
    )
    const { intermediateSize, numKeyValueHeads, numAttentionHeads } = config
    const size = intermediateSize + numKeyValueHeads + numAttentionHeads
    const orders = Array.from({ length: all.length / size }, (_, layer): LayerOrder => {
      const own = all.subarray(layer * size, (layer + 1) * size)
      return {
        neurons: own.slice(0, intermediateSize),
        groups: own.slice(intermediateSize, intermediateSize + numKeyValueHeads),
        heads: own.slice(intermediateSize + numKeyValueHeads),
      }
    })
    return new Alignment(config, first, orders)
  }

  /** At each place of the common order the layer's own unit. */
  orderOf(layer: number): LayerOrder {
    return this.orders[layer - this.first] ?? ownOrder(this.config)
  }
}

const FILE = 'orders.bin'
