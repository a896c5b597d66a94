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
    `training ${formatDuration(training * 1000)}`,
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

/** Start, middle and end of each, and after how many steps each had what the others ended with. */
export function formatRace(result: Pick<PretrainResult, 'results' | 'base'>): string {
  const { results, base } = result
  const right = 'right' as const
  const hasSeeds = results.some(({ repeats }) => repeats.length > 0)
  const hasForgetting = results.some(({ forgetting }) => forgetting.length > 0)
  const steps = Math.max(...results.map((model) => model.steps))
  const isMeasured = results.every((model) => model.eval.length > 1)
  const losses = formatTable(
    [
      { title: isMeasured ? 'eval loss' : 'training loss' },
      { title: 'rate', align: right },
      { title: isMeasured ? 'step 0' : 'step 1', align: right },
      { title: `step ${Math.round(steps / 2)}`, align: right },
      { title: `step ${steps}`, align: right },
      ...(hasSeeds ? [{ title: 'seeds end', align: right }] : []),
      ...(hasForgetting ? [{ title: 'forgetting', align: right }] : []),
      { title: 'time', align: right },
    ],
    [
      ...(base?.eval === null || base?.eval === undefined || !isMeasured
        ? []
        : [
            [
              'base',
              '',
              nats(base.eval),
              '',
              '',
              ...(hasSeeds ? [''] : []),
              ...(hasForgetting ? [base.forgetting === null ? '' : nats(base.forgetting)] : []),
              '',
            ],
          ]),
      ...results.map((model) => [
        model.name,
        formatNumber(model.lr),
        ...marks(model, steps),
        ...(hasSeeds ? [seedsCell(model)] : []),
        ...(hasForgetting ? [change(model.forgetting)] : []),
        formatDuration(model.seconds * 1000),
      ]),
    ],
  )
  return `${losses}\n${formatReach(results)}`
}

/** The compared loss at the start, halfway and at the end; of what diverged, as far as it came. */
function marks(model: PretrainedModel, steps: number): string[] {
  const curve = comparedCurve(model)
  const last = curve.at(-1)?.[0] ?? 0
  const at = (step: number): string => {
    const value = step > last ? null : valueAt(curve, step)
    return value === null ? 'diverged' : nats(value)
  }
  return [nats(curve[0]?.[1] ?? NaN), at(steps / 2), model.diverged ? 'diverged' : at(last)]
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
