import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readError } from '@system/errors'
import { AppError } from '@shared/errors'
import { bytesOf } from '../lib/matrix'
import { inverted, permute } from './orders'

/** A layer's experts in the order of chains: which one each chain has, and at each place of the chain's order its neuron. */
export interface ExpertOrder {
  readonly experts: Int32Array
  /** By chain. */
  readonly neurons: readonly Int32Array[]
}

/** Which expert of a layer is matched with each of the layer before, and which neuron with each of that one's. */
export interface ExpertMatch {
  readonly experts: Int32Array
  /** By the expert of the layer before. */
  readonly neurons: readonly Int32Array[]
}

/**
 * Experts that go together along the layers, and their neurons: chain `c` has expert `c` of the first layer, as it is.
 * Experts may be exchanged with their rows of the router, and neurons within one, without changing what a layer computes.
 */
export class ExpertChains {
  private constructor(private readonly orders: ReadonlyMap<number, ExpertOrder>) {}

  /**
   * @param layers Of one type, in order.
   * @param matches From each of them to the next one.
   */
  static fromMatches(
    shape: { readonly experts: number; readonly neurons: number },
    layers: readonly number[],
    matches: readonly ExpertMatch[],
  ): ExpertChains {
    const orders = new Map<number, ExpertOrder>()
    let order: ExpertOrder = {
      experts: counting(shape.experts),
      neurons: Array.from({ length: shape.experts }, () => counting(shape.neurons)),
    }
    layers.forEach((layer, index) => {
      const match = matches[index - 1]
      if (match) order = following(order, match)
      orders.set(layer, order)
    })
    return new ExpertChains(orders)
  }

  /** Of layers of several types. */
  static together(all: readonly ExpertChains[]): ExpertChains {
    return new ExpertChains(new Map(all.flatMap(({ orders }) => [...orders])))
  }

  /** The expert that a chain has in a layer. */
  expertOf(layer: number, chain: number): number {
    return this.#orderOf(layer).experts[chain] ?? chain
  }

  /** The chain of a layer's expert. */
  chainOf(layer: number, expert: number): number {
    return this.#orderOf(layer).experts.indexOf(expert)
  }

  /** A matrix with a row of `width` for each neuron, in the order that the chain's layers share, in place. */
  align(values: Float32Array, width: number, at: ChainPlace): Float32Array {
    return permute(values, width, this.#neuronsOf(at))
  }

  /** Of such a matrix in the shared order, the layer's own, in place. */
  restore(values: Float32Array, width: number, at: ChainPlace): Float32Array {
    return permute(values, width, inverted(this.#neuronsOf(at)))
  }

  /** Experts that are not where the first layer of their type has them, over all. */
  get moved(): number {
    const orders = [...this.orders.values()]
    const moved = orders.map(({ experts }) => experts.filter((own, at) => own !== at).length)
    const count = orders.reduce((sum, { experts }) => sum + experts.length, 0)
    return moved.reduce((sum, each) => sum + each, 0) / Math.max(1, count)
  }

  /** Writes all orders, int32. */
  async save(folder: string): Promise<void> {
    const all = [...this.orders].flatMap(([layer, { experts, neurons }]) => [
      Int32Array.of(layer, experts.length, neurons[0]?.length ?? 0),
      experts,
      ...neurons,
    ])
    await writeFile(join(folder, FILE), Buffer.concat(all.map((each) => bytesOf(each))))
  }

  static async load(folder: string): Promise<ExpertChains> {
    const file = join(folder, FILE)
    const bytes = await readFile(file).catch((error: unknown) => {
      throw readError(error, file, 'damaged_file')
    })
    const all = new Int32Array(Uint8Array.from(bytes).buffer)
    const orders = new Map<number, ExpertOrder>()
    let at = 0
    const take = (count: number): Int32Array => all.subarray(at, (at += count))
    while (at < all.length) {
      const [layer = 0, experts = 0, neurons = 0] = take(3)
      orders.set(layer, {
        experts: take(experts),
        neurons: Array.from({ length: experts }, () => take(neurons)),
      })
    }
    return new ExpertChains(orders)
  }

  #orderOf(layer: number): ExpertOrder {
    const order = this.orders.get(layer)
    if (order) return order
    throw new AppError('bug', `The experts of layer ${layer} are not matched.`)
  }

  #neuronsOf({ layer, chain }: ChainPlace): Int32Array {
    return this.#orderOf(layer).neurons[chain] ?? new Int32Array(0)
  }
}

export interface ChainPlace {
  readonly layer: number
  readonly chain: number
}

const FILE = 'experts.bin'

function counting(length: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => index)
}

/** The next layer's order. */
function following({ experts, neurons }: ExpertOrder, match: ExpertMatch): ExpertOrder {
  return {
    experts: experts.map((expert) => match.experts[expert]!),
    neurons: neurons.map((own, chain) => {
      const next = match.neurons[experts[chain]!]!
      return own.map((neuron) => next[neuron]!)
    }),
  }
}
