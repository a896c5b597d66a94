/** @file The layers of a grown model, and the ways in which methods lay them out. */

/**
 * One layer of the grown model. `source` is the layer of the base model that it is, copies, or (for a computed layer)
 * whose place and attention type it inherits: the left neighbour.
 */
export type GrownLayer =
  | { readonly kind: 'original'; readonly source: number }
  /** A copy of `source`, as it is. */
  | { readonly kind: 'copy'; readonly source: number }
  /** A copy of `source` that writes nothing into the residual stream, so that it passes its input on. */
  | {
      readonly kind: 'identity'
      readonly source: number
      /** What it writes is fitted to a text: nothing at all is where that begins. */
      readonly isFitted?: true
    }
  /** Computed from two layers of the grown model, given by their indices in it. */
  | {
      readonly kind: 'computed'
      readonly source: number
      readonly left: number
      readonly right: number
      /** It stands between base layers `gap` and `gap + 1`. */
      readonly gap: number
      /** The base layers that it is computed from: those beside the gap, or the nearest of its own type. */
      readonly sides: readonly [left: number, right: number]
      /** Bisection depth; layers of a lower depth are computed first. */
      readonly depth: number
      /** Where it lies between its sides, 0 and 1: ½ when it is alone, then by bisection. */
      readonly position: number
      /** It writes nothing into the residual stream, so that it passes its input on. */
      readonly isIdentity?: true
    }

/** `from … to − 1`. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index)
}

/** The first time a layer appears it is the original; after that it is a copy. */
export function inOrder(sources: readonly number[]): GrownLayer[] {
  const seen = new Set<number>()
  return sources.map((source) => {
    const kind = seen.has(source) ? 'copy' : 'original'
    seen.add(source)
    return { kind, source }
  })
}

/** After each named layer a copy of it, as often as it is named. */
export function insertAfter(
  afters: readonly number[],
  layerCount: number,
  kind: 'copy' | 'identity',
): GrownLayer[] {
  return range(0, layerCount).flatMap((source) => [
    { kind: 'original' as const, source },
    ...afters.filter((after) => after === source).map(() => ({ kind, source })),
  ])
}

/** In each named gap a computed layer, as often as it is named. */
export function computeBetween(gaps: readonly number[], layerCount: number): GrownLayer[] {
  const layers: GrownLayer[] = []
  for (const source of range(0, layerCount)) {
    const left = layers.length
    layers.push({ kind: 'original', source })
    const right = left + gaps.filter((gap) => gap === source).length + 1
    bisect(layers, source, { index: left, position: 0 }, { index: right, position: 1 }, 0)
  }
  return layers
}

/** A neighbour: its index in the grown model, and where it lies between the base layers around the gap. */
interface Side {
  readonly index: number
  readonly position: number
}

/** Fills the open places between `left` and `right` by halving: the middle first, then each side from its new neighbour. */
function bisect(layers: GrownLayer[], gap: number, left: Side, right: Side, depth: number): void {
  if (right.index - left.index < 2) return
  const middle = {
    index: (left.index + right.index) >> 1,
    position: (left.position + right.position) / 2,
  }
  bisect(layers, gap, left, middle, depth + 1)
  layers.push({
    kind: 'computed',
    source: gap,
    left: left.index,
    right: right.index,
    gap,
    sides: [gap, gap + 1],
    depth,
    position: middle.position,
  })
  bisect(layers, gap, middle, right, depth + 1)
}
