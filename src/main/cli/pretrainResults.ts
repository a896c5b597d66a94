/** @file What a training comes to, for people. */
import type { PretrainResult, PretrainSpec } from '@shared/jobs'
import { formatGaps } from '@shared/methods/gaps'
import { raceEnd, readRace } from '@shared/pretrainReading'
import { comparedCurve, valueAt, type Curve, type PretrainedModel } from '@shared/pretraining'
import { shortened } from '@shared/text'
import { formatCount, formatDuration, formatNumber } from '@shared/units'
import { quoteCommand } from './expandCommand'
import { shortPath } from './results'
import { formatFields, formatTable } from './table'

/** Characters of a model's name at the head of a column. */
const HEAD_LENGTH = 16

/** The losses, the reading, where the checkpoints lie, and how to measure them. */
export function formatPretraining(
  result: PretrainResult,
  spec: Pick<PretrainSpec, 'models' | 'out' | 'evalText'>,
  cwd: string,
): string {
  const [only] = result.results
  const isRace = result.results.length > 1
  const facts =
    isRace || only === undefined
      ? `${formatRace(result)}\n${formatRun(result, spec.out)}`
      : formatOne(only, result)
  const next = nextCommand(result, spec, cwd)
  return [
    facts,
    `Reading: ${readRace(result.results, result.eval_tokens)}\n`,
    ...(next === null ? [] : [`Measure it on any text: ${next}\n`]),
  ].join('\n')
}

function formatOne(model: PretrainedModel, result: PretrainResult): string {
  const base = result.base
  return formatFields([
    ['out', model.out ?? 'nothing: the training diverged'],
    ['layers', `${formatGaps(model.trained_layers)} trained, all others frozen`],
    ['trained', `${formatCount(model.trained_parameters)} parameters`],
    ['loss', `${change(model.loss)} (each on its own batch)`],
    ...measured('eval', model.eval, base?.eval ?? null),
    ...measured('forgetting', model.forgetting, base?.forgetting ?? null),
    ...seedsField(model),
    ['rate', `${formatNumber(model.lr)}${triedRates(model)}`],
    [
      'steps',
      `${model.steps} of ${result.tokens_per_step} tokens: ${formatCount(model.tokens)} tokens`,
    ],
    ['device', `${result.device.device} (${result.device.reason})`],
    ['time', timeOf(result, model.seconds)],
  ])
}

function formatRun(result: PretrainResult, out: string): string {
  const training = result.results.reduce((sum, { seconds }) => sum + seconds, 0)
  return formatFields([
    ['out', result.results.some((model) => model.out !== null) ? out : 'nothing'],
    ['a step', `${result.tokens_per_step} tokens, the same for all`],
    ['device', `${result.device.device} (${result.device.reason})`],
    ['time', timeOf(result, training)],
  ])
}

function timeOf({ seconds, trial_seconds }: PretrainResult, training: number): string {
  const parts = [
    `training ${formatDuration(training * 1000)}${training > seconds ? ', earlier runs included' : ''}`,
    ...(trial_seconds > 0
      ? [`trials of rates not gone on with ${formatDuration(trial_seconds * 1000)}`]
      : []),
  ]
  return `${formatDuration(seconds * 1000)} (${parts.join(', ')})`
}

function measured(name: string, curve: Curve, base: number | null): [string, string][] {
  if (curve.length === 0) return []
  return [[name, `${change(curve)}${base === null ? '' : ` (base ${nats(base)})`}`]]
}

function seedsField(model: PretrainedModel): [string, string][] {
  const end = raceEnd(model)
  if (model.repeats.length === 0 || end === null) return []
  return [['seeds', `${end.ends.length}, which end between ${nats(end.low)} and ${nats(end.high)}`]]
}

function triedRates({ trials }: PretrainedModel): string {
  return trials.length < 2
    ? ''
    : ` (best of ${trials.map(({ lr, loss }) => `${formatNumber(lr)}: ${nats(loss)}`).join(', ')})`
}

/**
 * The losses of each on the way, and after how many steps each had what the others ended with.
 *
 * @param shares Where on the way, of all steps; the first is the start and the last the end.
 */
export function formatRace(
  { results, base }: Pick<PretrainResult, 'results' | 'base'>,
  shares: readonly number[] = [0, 0.5, 1],
): string {
  const hasSeeds = results.some(({ repeats }) => repeats.length > 0)
  const hasForgetting = results.some(({ forgetting }) => forgetting.length > 0)
  const isMeasured = results.every((model) => model.eval.length > 1)
  const all = Math.max(...results.map((model) => model.steps))
  const steps = shares.map((share) => Math.max(isMeasured ? 0 : 1, Math.round(share * all)))
  const titles = [
    'rate',
    ...steps.map((step) => `step ${step}`),
    ...(hasSeeds ? ['seeds end'] : []),
    ...(hasForgetting ? ['forgetting'] : []),
    'time',
  ]
  const rowOf = (model: PretrainedModel): string[] => [
    model.name,
    formatNumber(model.lr),
    ...steps.map((step) => lossAt(model, step)),
    ...(hasSeeds ? [seedsCell(model)] : []),
    ...(hasForgetting ? [change(model.forgetting)] : []),
    formatDuration(model.seconds * 1000),
  ]
  const baseRow = (loss: number): string[] => [
    'base',
    '',
    nats(loss),
    ...steps.slice(1).map(() => ''),
    ...(hasSeeds ? [''] : []),
    base?.forgetting === null || base?.forgetting === undefined ? '' : nats(base.forgetting),
  ]
  const losses = formatTable(
    [
      { title: isMeasured ? 'eval loss' : 'training loss' },
      ...titles.map((title) => ({ title, align: 'right' as const })),
    ],
    [
      ...(isMeasured && base !== null && base.eval !== null ? [baseRow(base.eval)] : []),
      ...results.map(rowOf),
    ],
  )
  return `${losses}\n${formatReach(results)}`
}

/** The compared loss; of what diverged, as far as it came. */
function lossAt(model: PretrainedModel, step: number): string {
  const curve = comparedCurve(model)
  const last = curve.at(-1)?.[0] ?? 0
  const value = step > last ? null : valueAt(curve, step)
  return value === null || !Number.isFinite(value) ? 'diverged' : nats(value)
}

function seedsCell(model: PretrainedModel): string {
  const end = raceEnd(model)
  return end === null ? '' : `${nats(end.low)}–${nats(end.high)}`
}

/** The paper's measure: steps to another's last loss, and what share of the other's steps that is. */
function formatReach(results: readonly PretrainedModel[]): string {
  const right = 'right' as const
  return formatTable(
    [
      { title: 'steps to the last loss of' },
      ...results.map(({ name }) => ({ title: shortened(name, HEAD_LENGTH), align: right })),
    ],
    results.map((model) => [
      model.name,
      ...results.map((other) => {
        if (other === model) return '–'
        if (other.diverged !== null) return ''
        const steps = model.steps_to_reach[other.name]
        if (steps === null || steps === undefined) return 'not reached'
        return `${Math.round(steps)} (${(steps / other.steps).toFixed(2)} ×)`
      }),
    ]),
  )
}

function nextCommand(
  { results }: PretrainResult,
  { models, evalText }: Pick<PretrainSpec, 'models' | 'evalText'>,
  cwd: string,
): string | null {
  const written = results.flatMap(({ out }) => (out === null ? [] : [shortPath(out, cwd)]))
  if (written.length === 0) return null
  const before = models.length === 1 ? models.map(({ path }) => shortPath(path, cwd)) : []
  const text = evalText === undefined ? 'FILE' : shortPath(evalText, cwd)
  const words = ['lesa', 'evaluate', ...before, ...written, '--text', text]
  return quoteCommand(words, process.platform)
}

function change(curve: Curve): string {
  const [first, last] = [curve[0]?.[1], curve.at(-1)?.[1]]
  if (first === undefined || last === undefined) return ''
  return `${nats(first)} → ${nats(last)}`
}

/** Three decimals tell what two evaluations of one text can. */
function nats(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3) : 'not a number'
}
