/** @file A verdict in words. */
import { RESOLUTION, type PairedDifference } from './difference'
import { YARDSTICKS, type Yardstick } from './methods/define'
import { usesPredictions } from './heldOut'
import { FEW_TOKENS, isNoBetterThanChance } from './perplexity'
import {
  compare,
  hasDiverged,
  levelOf,
  type Contender,
  type PairOutcome,
  type VerdictContext,
  type VerdictPair,
  type VerdictSubject,
} from './verdictPairs'

/** With fewer, an interval is wide, and rests on windows being alike. */
export const FEW_WINDOWS = 10

const YARDSTICK_NAMES: Readonly<Record<Yardstick, string>> = {
  zero: 'zero',
  mean: 'the neighbours’ mean',
  noise: 'noise',
}

/** `LESA is worse than the base by 0.012 nats a token (95 %: 0.008 to 0.016), and not distinguishable from noise (…).` */
export function sentenceOf(one: Contender, pairs: readonly VerdictPair[]): string {
  const { name, losses, members } = one
  if (members.some(hasDiverged)) return `${name} diverged in training and is not compared.`
  if (!losses) return `${name} cannot be compared: its loss window by window is not known.`
  const known = pairs.filter(({ outcome }) => outcome !== 'unknown')
  if (pairs.length === 0) return `${name} has nothing here to be compared with.`
  if (known.length === 0) {
    const others = listed(pairs.map(nameOf))
    return losses.windowTokens.length < 2
      ? `${name} cannot be told from ${others}: one window was scored, which has no interval.`
      : `${name} cannot be compared with ${others}: they were measured on other windows (another tokenizer or context).`
  }
  const clauses = mergedOf(known).map((pair, index) => clause(pair, index === 0))
  return `${name} is ${joined(clauses)}${spread(one)}${kept(members)}.`
}

/** A pair, or several that are one: a start that keeps the output is the base. */
interface Merged extends Pick<VerdictPair, 'outcome' | 'difference'> {
  readonly others: readonly string[]
}

function mergedOf(pairs: readonly VerdictPair[]): Merged[] {
  const merged: Merged[] = []
  for (const pair of pairs) {
    const place = merged.findIndex((one) => isLike(one, pair))
    const found = merged[place]
    if (found) merged[place] = { ...found, others: [...found.others, nameOf(pair)] }
    else merged.push({ ...pair, others: [nameOf(pair)] })
  }
  return merged
}

type Compared = Pick<VerdictPair, 'outcome' | 'difference'>

function isLike(a: Compared, b: Compared): boolean {
  const ends = ['mean', 'low', 'high'] as const
  return (
    a.outcome === b.outcome &&
    ends.every(
      (end) => Math.abs((a.difference?.[end] ?? 0) - (b.difference?.[end] ?? 0)) < RESOLUTION / 10,
    )
  )
}

function clause({ outcome, difference, others }: Merged, isFirst: boolean): string {
  const other = listed(others)
  if (outcome === 'same' || !difference) return `the same as ${other} at every window`
  const unit = isFirst ? ' nats a token' : ''
  const show = formatterFor(difference)
  if (outcome === 'not_distinguishable') {
    const range = `${signed(difference.low, show)} to ${signed(difference.high, show)}`
    return `not distinguishable from ${other} (${signed(difference.mean, show)}${unit}, 95 %: ${range})`
  }
  const sign = outcome === 'better' ? -1 : 1
  const ends = [sign * difference.low, sign * difference.high].sort((a, b) => a - b)
  const range = ends.map((end) => signed(end, show).replace(/^\+/, '')).join(' to ')
  return `${outcome} than ${other} by ${show(Math.abs(difference.mean))}${unit} (95 %: ${range})`
}

/** Seeds of one start, and how far they lie apart. */
function spread({ ends }: Contender): string {
  if (ends.length < 2) return ''
  const [low, high] = [Math.min(...ends), Math.max(...ends)]
  return `; its ${ends.length} seeds lie between ${low.toFixed(3)} and ${high.toFixed(3)} nats`
}

/** `trained is better than grown by 0.12 nats a token (95 %: 0.10 to 0.14).` */
export function sentenceOfTwo(name: string, other: string, difference: PairedDifference): string {
  const { outcome, mean } = difference
  const isSame = mean === 0 && difference.low === 0 && difference.high === 0
  const said = isSame ? 'same' : WORDS[outcome]
  return `${name} is ${clause({ outcome: said, difference, others: [other] }, true)}.`
}

const WORDS = {
  lower: 'better',
  higher: 'worse',
  not_distinguishable: 'not_distinguishable',
} as const satisfies Record<PairedDifference['outcome'], PairOutcome>

/** What is left of the base's predictions. */
function kept(members: readonly VerdictSubject[]): string {
  const [only] = members
  if (members.length !== 1 || !only?.againstBase) return ''
  const { kl, kl_standard_error, top1_agreement } = only.againstBase
  if (kl < RESOLUTION / 10 && top1_agreement === 1) return ''
  const error = 1.96 * (kl_standard_error ?? 0)
  const show = withDigits(error === 0 ? kl / 100 : error)
  const range = error === 0 ? '' : ` ± ${show(error)}`
  const share = (100 * top1_agreement).toFixed(1)
  return `; its predictions are ${show(kl)}${range} nats a token from the base’s (KL), with the same most likely token at ${share} % of positions`
}

function nameOf({ against, other }: VerdictPair): string {
  return against === 'base' ? 'the base' : yardstickName(against, other)
}

/** `zero (LLaMA Pro)`; not `noise (noise)`. */
function yardstickName(yardstick: Yardstick, name: string): string {
  const says = name.toLowerCase().includes(yardstick)
  return says ? YARDSTICK_NAMES[yardstick] : `${YARDSTICK_NAMES[yardstick]} (${name})`
}

/** Against the base, against each other, and what a prediction is worth. */
export function leadOf(
  contenders: readonly Contender[],
  pairs: ReadonlyMap<Contender, readonly VerdictPair[]>,
): string {
  const all = [...pairs].filter(([{ losses }]) => losses !== null)
  const clauses = [
    ...againstBase(all),
    ...lowestOf(all.map(([one]) => one)),
    ...all.flatMap(([one, own]) => predictionWorth(one, own)),
  ]
  if (clauses.length > 0)
    return `${clauses.map((one, at) => (at === 0 ? capital(one) : one)).join('; ')}.`
  const measured = contenders.filter(({ losses }) => losses !== null)
  if (measured.length < 2)
    return 'Nothing is compared: fewer than two models were measured window by window.'
  return measured.some(({ losses }) => losses?.windowTokens.length === 1)
    ? 'One window was scored, so no difference can be told from chance.'
    : 'Nothing is compared: the models were measured on different windows.'
}

type WithPairs = readonly [one: Contender, pairs: readonly VerdictPair[]]

function againstBase(all: readonly WithPairs[]): string[] {
  const known = all.flatMap(([, own]) =>
    own.filter(({ against, outcome }) => against === 'base' && outcome !== 'unknown'),
  )
  const [only] = known
  if (!only) return []
  if (known.length === 1) return [`${only.name} is ${OUTCOMES[only.outcome]} the base`]
  const better = known.filter(({ outcome }) => outcome === 'better')
  if (better.length === known.length) return ['every grown model is better than the base']
  if (known.every(({ outcome }) => outcome === 'worse'))
    return ['every grown model is worse than the base']
  return better.length === 0
    ? ['no grown model is better than the base']
    : [
        `of ${known.length} grown models ${listed(better.map(({ name }) => name))} ${better.length === 1 ? 'is' : 'are'} better than the base`,
      ]
}

/** The lowest of the grown models, and which of the others it can be told from. */
function lowestOf(grown: readonly Contender[]): string[] {
  const sorted = grown.toSorted((a, b) => levelOf(a) - levelOf(b))
  const [best, next] = sorted
  if (!best || !next) return []
  const rivals = sorted.slice(1).map((one) => ({ one, ...compare(best, one) }))
  if (rivals.some(({ outcome }) => outcome === 'unknown')) return []
  const level = rivals.flatMap(({ one, outcome }) => (outcome === 'better' ? [] : [one.name]))
  return level.length === 0
    ? [
        `${best.name} is the lowest, ${formatNats(levelOf(next) - levelOf(best))} nats a token below ${next.name}`,
      ]
    : [`the lowest, ${best.name}, is not distinguishable from ${listed(level)}`]
}

const OUTCOMES = {
  better: 'better than',
  worse: 'worse than',
  not_distinguishable: 'not distinguishable from',
  same: 'the same as',
  unknown: '',
} as const satisfies Record<PairOutcome, string>

/** `LESA’s prediction beats the neighbours’ mean, but neither zero nor noise`; only of models that are predicted. */
function predictionWorth({ name, method }: Contender, pairs: readonly VerdictPair[]): string[] {
  if (method === null || !usesPredictions(method)) return []
  const known = pairs.flatMap(({ against, outcome }) =>
    against === 'base' || outcome === 'unknown'
      ? []
      : [{ word: YARDSTICK_NAMES[against], isBeaten: outcome === 'better' }],
  )
  const beaten = known.filter(({ isBeaten }) => isBeaten).map(({ word }) => word)
  const others = known.filter(({ isBeaten }) => !isBeaten).map(({ word }) => word)
  if (known.length === 0) return []
  const whose = `${name}’s prediction`
  const [only, ...more] = others
  if (only === undefined) return [`${whose} beats ${listed(beaten)}`]
  const not = `neither ${[only, ...more.slice(0, -1)].join(', ')} nor ${more.at(-1) ?? ''}`
  if (beaten.length === 0) {
    return [more.length === 0 ? `${whose} does not beat ${only}` : `${whose} beats ${not}`]
  }
  return [`${whose} beats ${listed(beaten)}, but ${more.length === 0 ? `not ${only}` : not}`]
}

/** What stands against taking the numbers at their word, and how deep the models are. */
export function cautionsOf(
  subjects: readonly VerdictSubject[],
  contenders: readonly Contender[],
  { textName, vocabularySize }: VerdictContext,
): string[] {
  const grown = contenders.filter(({ role }) => role !== 'base')
  const measured = subjects.filter((subject) => !hasDiverged(subject))
  const fewest = Math.min(...measured.map(({ tokens }) => tokens))
  const windows = Math.min(
    ...contenders.flatMap(({ losses }) => (losses ? [losses.windowTokens.length] : [])),
  )
  const lost = measured.filter((subject) => isNoBetterThanChance(subject, vocabularySize))
  const missing = YARDSTICKS.filter(
    (yardstick) => !contenders.some(({ role }) => role === yardstick),
  )
  return [
    ...(fewest < FEW_TOKENS
      ? [
          `Only ${fewest} tokens of ${textName} were scored: below ${FEW_TOKENS.toLocaleString('en')} it is mostly chance what is found.`,
        ]
      : []),
    ...(windows > 1 && windows < FEW_WINDOWS
      ? [
          `Only ${windows} windows of ${textName} were scored, so the intervals are rough; a longer text or a shorter context gives more.`,
        ]
      : []),
    ...(lost.length > 0
      ? [
          `${listed(lost.map(({ name }) => name))}: guessing among all${vocabularySize === null ? '' : ` ${vocabularySize}`} tokens would do better than this perplexity.`,
        ]
      : []),
    ...unequalDepth(grown),
    ...trainingOf(grown),
    ...(grown.length > 0 && missing.length > 0
      ? [
          `Not measured: ${listed(missing.map((one) => YARDSTICK_NAMES[one]))}, which a start has to beat.`,
        ]
      : []),
  ]
}

/** That grown models are equally deep; with others, depth is part of any difference. */
export function equalDepthOf(contenders: readonly Contender[]): string[] {
  const grown = contenders.filter(({ role }) => role !== 'base')
  const [depth, ...more] = depthsOf(grown)
  return depth === undefined || more.length > 0 || grown.length < 2
    ? []
    : [`All ${grown.length} grown models have ${depth} layers.`]
}

function unequalDepth(grown: readonly Contender[]): string[] {
  const depths = depthsOf(grown)
  if (depths.length < 2) return []
  return [
    `The grown models differ in depth (${listed(depths.map(String))} layers), which is part of any difference between them.`,
  ]
}

function depthsOf(all: readonly Contender[]): number[] {
  return [...new Set(all.flatMap(({ members }) => members.map(({ layers }) => layers)))].toSorted(
    (a, b) => a - b,
  )
}

function trainingOf(grown: readonly Contender[]): string[] {
  const steps = new Set(
    grown.flatMap(({ members }) => members.map(({ training }) => training?.steps ?? 0)),
  )
  return steps.size < 2
    ? []
    : [
        'The grown models were not trained for the same number of steps, which is part of any difference between them.',
      ]
}

/** As many decimals as the interval deserves. */
function formatterFor({ mean, low, high }: PairedDifference): (value: number) => string {
  return withDigits(Math.max((high - low) / 2, Math.abs(mean) / 100))
}

/** Two significant digits of the uncertainty, within what rounding leaves. */
function withDigits(uncertainty: number): (value: number) => string {
  const least = Math.max(uncertainty, RESOLUTION)
  const digits = Math.max(2, 1 - Math.floor(Math.log10(least)))
  return (value) => value.toFixed(digits)
}

/** Three decimals; two significant digits below a twentieth. */
function formatNats(value: number): string {
  return Math.abs(value) < 0.05 ? String(Number(value.toPrecision(2))) : value.toFixed(3)
}

/** `+0.12`, `−0.12`; what rounds to nothing has no sign. */
function signed(value: number, show: (value: number) => string): string {
  const text = show(Math.abs(value))
  const sign = Number(text) === 0 ? '' : value < 0 ? '−' : '+'
  return `${sign}${text}`
}

function joined(clauses: readonly string[]): string {
  return clauses.length < 2
    ? (clauses[0] ?? '')
    : `${clauses.slice(0, -1).join(', ')}, and ${clauses.at(-1) ?? ''}`
}

function listed(parts: readonly string[]): string {
  return parts.length < 2
    ? (parts[0] ?? '')
    : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
