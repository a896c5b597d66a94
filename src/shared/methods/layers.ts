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

/** How the types of a base model's layers bear on where new ones go. */
export interface Pattern {
  /** Of the base layers; nothing where all are alike. */
  readonly types: LayerTypes
  /** New layers come in groups of so many, one of each place in the period: types go on repeating. 1: each by itself. */
  readonly period: number
}

export const ALIKE: Pattern = { types: [], period: 1 }

/**
 * After each named layer a copy of it, as often as it is named; with a period of p, copies of it and the p − 1 before.
 *
 * @throws AppError `bad_request` where fewer layers lie before.
 */
export function insertAfter(
  afters: readonly number[],
  layerCount: number,
  kind: 'copy' | 'identity',
  { period }: Pattern = ALIKE,
): GrownLayer[] {
  const early = afters.find((after) => after < period - 1)
  if (early !== undefined) throw noWholePeriod(period, range(period - 1, layerCount), early)
  return range(0, layerCount).flatMap((source) => [
    { kind: 'original' as const, source },
    ...afters
      .filter((after) => after === source)
      .flatMap(() => range(source + 1 - period, source + 1))
      .map((copied) => ({ kind, source: copied })),
  ])
}

/**
 * In each named gap a computed layer, as often as it is named: from the layers beside the gap, or the nearest of one type;
 * with a period, one of each place in it, from the two layers of that place around it.
 *
 * @throws AppError `bad_request` for a gap between layers of two types, neither of which has a layer on its other side, and
 *   for one without a whole period on both sides.
 */
export function computeBetween(
  gaps: readonly number[],
  layerCount: number,
  pattern: Pattern = ALIKE,
): GrownLayer[] {
  const { period } = pattern
  const possible = possibleGaps(layerCount, pattern)
  const wrong = gaps.find((gap) => !possible.includes(gap))
  if (wrong !== undefined) {
    throw period > 1
      ? noWholePeriod(period, possible, wrong)
      : noSides(wrong, possible, pattern.types)
  }
  const places = range(0, layerCount).flatMap((base) => [
    { base, isNew: false },
    ...gaps
      .filter((gap) => gap === base)
      .flatMap(() => range(0, period).map(() => ({ base, isNew: true }))),
  ])
  const layers: GrownLayer[] = places.map(({ base }) => ({ kind: 'original', source: base }))
  const originals = places.flatMap(({ isNew }, index) => (isNew ? [] : [index]))
  /** Computes layers from two of the base and from each other; all are indices in the grown model but `sides`. */
  const fill = (sides: readonly [number, number], between: readonly number[]): void => {
    const line = [originals[sides[0]] ?? 0, ...between, originals[sides[1]] ?? 0]
    const at = (step: number): number => line[step] ?? 0
    for (const { step, left, right, ...middle } of halvings(between.length)) {
      layers[at(step)] = {
        kind: 'computed',
        source: sides[0],
        left: at(left),
        right: at(right),
        gap: places[at(step)]?.base ?? 0,
        sides,
        ...middle,
      }
    }
  }
  if (period > 1) {
    for (const base of range(0, layerCount - period)) {
      const [from = 0, to = 0] = [originals[base], originals[base + period]]
      // As many layers lie between as a number of periods has: those of this place in it are every period-th.
      fill(
        [base, base + period],
        range(from + 1, to).filter((index) => (index - from) % period === 0),
      )
    }
  } else {
    for (const gap of new Set(gaps)) {
      const sides = sidesOf(gap, layerCount, pattern.types)
      const own = places.flatMap(({ base, isNew }, index) => (isNew && base === gap ? [index] : []))
      if (sides) fill(sides, own)
    }
  }
  return layers
}

/** Gaps in which layers can be computed: with two of one type for each. */
export function possibleGaps(layerCount: number, { types, period }: Pattern): number[] {
  if (period > 1) return range(period - 1, layerCount - period)
  return range(0, layerCount - 1).filter((gap) => sidesOf(gap, layerCount, types) !== null)
}

/**
 * After how many layers the types repeat; `null` where they do not, or less than twice.
 *
 * @param types Of all layers; nothing where all are alike.
 */
export function periodOf(types: LayerTypes): number | null {
  if (types.length === 0) return 1
  const repeats = (period: number): boolean =>
    types.every((type, layer) => type === types[layer % period])
  return range(1, Math.floor(types.length / 2) + 1).find(repeats) ?? null
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

function noSides(gap: number, possible: readonly number[], types: LayerTypes): AppError {
  const between = `${gap} between layers of two types (${types[gap] ?? ''}; ${types[gap + 1] ?? ''})`
  return badOption(
    'gaps',
    `gaps with layers of one type on both sides, ${formatGaps(possible)}`,
    between,
  )
}

function noWholePeriod(period: number, possible: readonly number[], found: number): AppError {
  const where = possible.length > 0 ? `, ${formatGaps(possible)}` : ', of which there are none'
  return badOption(
    'keepPattern',
    `gaps beside which there are whole periods of ${period} layers${where}`,
    String(found),
  )
}

/** One of the new layers between two others, which are steps 0 and last. */
interface Halving {
  readonly step: number
  /** The two steps that it is computed from. */
  readonly left: number
  readonly right: number
  readonly depth: number
  readonly position: number
}

/** New layers between two others by halving: the middle first, then each side from its new neighbour. */
function halvings(count: number): Halving[] {
  const halve = (
    [left, from]: readonly [step: number, position: number],
    [right, to]: readonly [step: number, position: number],
    depth: number,
  ): Halving[] => {
    if (right - left < 2) return []
    const middle = [(left + right) >> 1, (from + to) / 2] as const
    const [step, position] = middle
    return [
      ...halve([left, from], middle, depth + 1),
      { step, left, right, depth, position },
      ...halve(middle, [right, to], depth + 1),
    ]
  }
  return halve([0, 0], [count + 1, 1], 0)
}
