/** @file Measured models as pairs: seeds joined, and each against the base and the yardsticks. */
import {
  haveSameWindows,
  meanLoss,
  pairedDifference,
  RESOLUTION,
  type MeasuredLosses,
  type PairedDifference,
} from './difference'
import { methodNamed, type Method } from './methods'
import { YARDSTICKS, type Yardstick } from './methods/define'

/** How a model's predictions differ from the base's on one text; the names are those of the command line's JSON. */
export interface Divergence {
  /** KL(base ‖ model) per token, in nats, and its standard error (`null` where it is not known). */
  readonly kl: number
  readonly kl_standard_error: number | null
  /** The share of positions where both have the same most likely token. */
  readonly top1_agreement: number
}

/** A model that was measured on the text. */
export interface VerdictSubject {
  readonly name: string
  /** `null` for the base, and for a model of which nobody knows how it was made. */
  readonly method: Method | null
  /** Whether it is the base; without it, whether it has no method. */
  readonly isBase?: boolean
  /** The same for models that differ in their seed alone; they are read as one, with their spread. */
  readonly group?: string
  readonly layers: number
  /** `null` where the model could not be measured, or window by window was not kept. */
  readonly losses: MeasuredLosses | null
  /** `null` when it is beyond what a number holds. */
  readonly perplexity: number | null
  /** That were scored. */
  readonly tokens: number
  /** After which training it was measured; none right after growing. */
  readonly training?: { readonly steps: number; readonly diverged: boolean } | null
  readonly againstBase?: Divergence | null
}

export interface VerdictContext {
  readonly textName: string
  /** `null` where it is not known. */
  readonly vocabularySize: number | null
}

/** What a model is measured against. */
export type Against = 'base' | Yardstick
export const AGAINST: readonly Against[] = ['base', ...YARDSTICKS]

/**
 * `same`: at every window, as a start that keeps the output is; `unknown`: measured on other windows, on one only, or not at
 * all.
 */
export type PairOutcome = 'better' | 'worse' | 'not_distinguishable' | 'same' | 'unknown'

/** One model, or several seeds of it, against another. */
export interface VerdictPair {
  readonly name: string
  readonly against: Against
  readonly other: string
  readonly outcome: PairOutcome
  /** Of the first less the other, the mean over seeds; `null` where it is not known. */
  readonly difference: PairedDifference | null
}

/** A model with all its seeds. */
export interface Contender {
  readonly name: string
  readonly role: Against | null
  readonly method: Method | null
  readonly members: readonly VerdictSubject[]
  /** The mean over the seeds, window by window; `null` where one of them is not known. */
  readonly losses: MeasuredLosses | null
  /** Mean losses of the seeds, in nats per token. */
  readonly ends: readonly number[]
}

export function contendersOf(subjects: readonly VerdictSubject[]): Contender[] {
  const groups = new Map<string, VerdictSubject[]>()
  subjects.forEach((subject, index) => {
    const key = subject.group === undefined ? `#${index}` : `group/${subject.group}`
    groups.set(key, [...(groups.get(key) ?? []), subject])
  })
  const all = [...groups.values()].flatMap((members) => {
    const [first] = members
    if (!first) return []
    const { name, method } = first
    const losses = members.some(hasDiverged) ? null : meanOf(members.map((each) => each.losses))
    const ends = losses ? members.flatMap((each) => (each.losses ? meanLoss(each.losses) : [])) : []
    const yardstick = method === null ? undefined : methodNamed(method).yardstick
    return [{ name, method, members, losses, ends, role: yardstick ?? null, first }]
  })
  // Of several models that could be one yardstick the lowest counts: it is the hardest to beat.
  const base = all.find(({ first }) => first.isBase ?? first.method === null)
  return all.map(({ first: _, ...one }, index) => {
    if (all[index] === base) return { ...one, role: 'base' as const }
    const rivals = all.filter(({ role, losses }) => role === one.role && losses !== null)
    const lowest = Math.min(...rivals.map(levelOf))
    const isYardstick = rivals.find((rival) => levelOf(rival) === lowest) === all[index]
    return { ...one, role: isYardstick ? one.role : null }
  })
}

export function hasDiverged({ training }: VerdictSubject): boolean {
  return training?.diverged === true
}

/** Nats per token; the mean over seeds. */
export function levelOf({ ends }: Pick<Contender, 'ends'>): number {
  return ends.reduce((sum, end) => sum + end, 0) / ends.length
}

/** Window by window; `null` where one is missing, or of other windows. */
function meanOf(all: readonly (MeasuredLosses | null)[]): MeasuredLosses | null {
  const [first] = all
  const known = all.flatMap((one) => one ?? [])
  if (!first || known.length < all.length) return null
  if (!known.every((one) => haveSameWindows(one, first))) return null
  const { windowTokens } = first
  const windowNll = windowTokens.map(
    (_, index) => known.reduce((sum, one) => sum + (one.windowNll[index] ?? NaN), 0) / known.length,
  )
  return { windowNll, windowTokens }
}

/** Against the base and each yardstick that is there. */
export function pairsOf(one: Contender, contenders: readonly Contender[]): VerdictPair[] {
  return AGAINST.flatMap((against) => {
    const other = contenders.find(({ role }) => role === against)
    if (!other || other === one) return []
    return [{ name: one.name, against, other: other.name, ...compare(one, other) }]
  })
}

/** How two contenders differ. */
export function compare(a: Contender, b: Contender): Pick<VerdictPair, 'outcome' | 'difference'> {
  if (!a.losses || !b.losses) return { outcome: 'unknown', difference: null }
  const difference = pairedDifference(a.losses, b.losses)
  if (isSame(a.losses, b.losses)) return { outcome: 'same', difference }
  if (!difference) return { outcome: 'unknown', difference }
  const isLower = Math.max(...a.ends) < Math.min(...b.ends)
  const isHigher = Math.min(...a.ends) > Math.max(...b.ends)
  const outcome =
    difference.outcome === 'lower' && isLower
      ? 'better'
      : difference.outcome === 'higher' && isHigher
        ? 'worse'
        : 'not_distinguishable'
  return { outcome, difference }
}

/** At every window, but for rounding. */
function isSame(a: MeasuredLosses, b: MeasuredLosses): boolean {
  return (
    haveSameWindows(a, b) &&
    a.windowNll.every((value, index) => {
      const apart = Math.abs(value - (b.windowNll[index] ?? NaN))
      return apart <= (RESOLUTION / 10) * (a.windowTokens[index] ?? NaN)
    })
  )
}
