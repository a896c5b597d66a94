/** @file The layers of a grown model, and the ways in which methods lay them out. */
import type { AppError } from '../errors'
import { badOption, formatGaps } from './gaps'

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

/**
 * In each named gap a computed layer, as often as it is named: from the layers beside the gap, or the nearest of one type.
 *
 * @param types Of the base layers; nothing where all are alike.
 * @throws AppError `bad_request` for a gap between layers of two types, neither of which has a layer on its other side.
 */
export function computeBetween(
  gaps: readonly number[],
  layerCount: number,
  types: LayerTypes = [],
): GrownLayer[] {
  const countBefore = (layer: number): number => gaps.filter((gap) => gap < layer).length
  const layers: GrownLayer[] = []
  for (const source of range(0, layerCount)) {
    layers.push({ kind: 'original', source })
    const count = gaps.filter((gap) => gap === source).length
    if (count === 0) continue
    const sides = sidesOf(source, layerCount, types)
    if (!sides) throw noSides(source, layerCount, types)
    const [left, right] = sides.map((side) => side + countBefore(side))
    const place = {
      gap: source,
      sides,
      first: layers.length,
      ends: [left ?? 0, right ?? 0] as const,
    }
    const ends = [
      { step: 0, position: 0 },
      { step: count + 1, position: 1 },
    ] as const
    bisect(layers, place, ...ends, 0)
  }
  return layers
}

/** What type each base layer is of, in words; nothing where all are alike. */
export type LayerTypes = readonly string[]

/**
 * The base layers that a new one in a gap is computed from: the one before the gap and the next of its type; else the one
 * after it and the last of that type before. `null` where there is neither.
 */
export function sidesOf(
  gap: number,
  layerCount: number,
  types: LayerTypes,
): readonly [left: number, right: number] | null {
  const next = range(gap + 1, layerCount).find((layer) => types[layer] === types[gap])
  if (next !== undefined) return [gap, next]
  const last = range(0, gap + 1).findLast((layer) => types[layer] === types[gap + 1])
  return last === undefined || gap + 1 >= layerCount ? null : [last, gap + 1]
}

function noSides(gap: number, layerCount: number, types: LayerTypes): AppError {
  const possible = range(0, layerCount - 1).filter((each) => sidesOf(each, layerCount, types))
  const between = `${gap} between layers of two types (${types[gap] ?? ''}; ${types[gap + 1] ?? ''})`
  return badOption(
    'gaps',
    `gaps with layers of one type on both sides, ${formatGaps(possible)}`,
    between,
  )
}

interface GapPlace {
  readonly gap: number
  readonly sides: readonly [left: number, right: number]
  /** Index in the grown model of the gap's first new layer, and of both sides. */
  readonly first: number
  readonly ends: readonly [left: number, right: number]
}

/** A neighbour: the how manieth of the gap's layers it is, the sides being 0 and the last, and where it lies between these. */
interface Side {
  readonly step: number
  readonly position: number
}

/** Fills the open places between `left` and `right` by halving: the middle first, then each side from its new neighbour. */
function bisect(
  layers: GrownLayer[],
  place: GapPlace,
  left: Side,
  right: Side,
  depth: number,
): void {
  if (right.step - left.step < 2) return
  const { gap, sides, first, ends } = place
  const middle = {
    step: (left.step + right.step) >> 1,
    position: (left.position + right.position) / 2,
  }
  bisect(layers, place, left, middle, depth + 1)
  layers.push({
    kind: 'computed',
    source: sides[0],
    left: left.position === 0 ? ends[0] : first + left.step - 1,
    right: right.position === 1 ? ends[1] : first + right.step - 1,
    gap,
    sides,
    depth,
    position: middle.position,
  })
  bisect(layers, place, middle, right, depth + 1)
}
