/** @file In which order a layer has its neurons and heads, and its matrices in another one. */
import type { ModelConfig } from '../architectures/config'

/**
 * For each place of an order the layer's own index: neurons of the MLP, key/value heads, and query heads, which stay with
 * their key/value head. Rows within a head keep their order: the rotary positions tell them apart.
 */
export interface LayerOrder {
  readonly neurons: Int32Array
  readonly groups: Int32Array
  readonly heads: Int32Array
}

type Unit = keyof LayerOrder

/** Which axis of a slot's matrix goes by which units; its bias goes by its rows. */
const SLOTS: Readonly<Record<string, { readonly axis: 'rows' | 'columns'; readonly of: Unit }>> = {
  q_proj: { axis: 'rows', of: 'heads' },
  k_proj: { axis: 'rows', of: 'groups' },
  v_proj: { axis: 'rows', of: 'groups' },
  o_proj: { axis: 'columns', of: 'heads' },
  gate_proj: { axis: 'rows', of: 'neurons' },
  up_proj: { axis: 'rows', of: 'neurons' },
  down_proj: { axis: 'columns', of: 'neurons' },
}

const UNITS: readonly Unit[] = ['neurons', 'groups', 'heads']

export function ownOrder(config: ModelConfig): LayerOrder {
  const count = (length: number): Int32Array => Int32Array.from({ length }, (_, index) => index)
  return {
    neurons: count(config.intermediateSize),
    groups: count(config.numKeyValueHeads),
    heads: count(config.numAttentionHeads),
  }
}

/** The order that has at place k what `outer` has at place `inner[k]`. */
export function composed(outer: LayerOrder, inner: LayerOrder): LayerOrder {
  return byUnit((unit) => inner[unit].map((index) => outer[unit][index]!))
}

export function inverse(order: LayerOrder): LayerOrder {
  return byUnit((unit) => inverted(order[unit]))
}

/** For each index its place in an order. */
export function inverted(order: Int32Array): Int32Array {
  const back = new Int32Array(order.length)
  order.forEach((own, place) => {
    back[own] = place
  })
  return back
}

function byUnit(of: (unit: Unit) => Int32Array): LayerOrder {
  return Object.fromEntries(UNITS.map((unit) => [unit, of(unit)])) as Record<Unit, Int32Array>
}

/** Whether a slot's bias goes by units: those of what is added to the residual stream do not. */
export function hasOrderedRows(slot: string): boolean {
  return SLOTS[slot]?.axis === 'rows'
}

/**
 * Puts a slot's matrix, row-major, or its bias (`width` 1) into an order, in place.
 *
 * @param values `[rows, width]`.
 */
export function reorder(
  values: Float32Array,
  width: number,
  slot: string,
  order: LayerOrder,
  { headDim }: Pick<ModelConfig, 'headDim'>,
): Float32Array {
  const rule = SLOTS[slot]
  if (!rule) return values
  const size = rule.of === 'neurons' ? 1 : headDim
  if (rule.axis === 'rows') permute(values, size * width, order[rule.of])
  else {
    for (let start = 0; start < values.length; start += width) {
      permute(values.subarray(start, start + width), size, order[rule.of])
    }
  }
  return values
}

/** `blocks[k] ← blocks[order[k]]` for blocks of `size` values, in place: along cycles, with one block of memory. */
export function permute(values: Float32Array, size: number, order: Int32Array): Float32Array {
  const kept = new Float32Array(size)
  const isDone = new Uint8Array(order.length)
  for (let start = 0; start < order.length; start += 1) {
    if (isDone[start] === 1 || order[start] === start) continue
    kept.set(values.subarray(start * size, (start + 1) * size))
    let place = start
    for (;;) {
      isDone[place] = 1
      const from = order[place]!
      if (from === start) break
      values.copyWithin(place * size, from * size, (from + 1) * size)
      place = from
    }
    values.set(kept, place * size)
  }
  return values
}
