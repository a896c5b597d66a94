import { relative } from 'node:path'
import type { DeviceDecision, DeviceReport } from '@shared/devices'
import { readExperts } from '@shared/experts'
import type { ExpandResult, PerplexityResult, PredictorReport, StagesResult } from '@shared/jobs'
import { readFit } from '@shared/fitReading'
import { heldOutVerdict, mseOfNoise } from '@shared/heldOut'
import { METHOD_NAMES } from '@shared/methods'
import { expertsText, layerTypesText, mlpSizeOf, NO_NUMBER } from '@shared/modelFacts'
import { NOT_RUN, type ModelSummary } from '@shared/model'
import { formatGaps } from '@shared/methods/gaps'
import { formatBytes, formatCount, formatDuration } from '@shared/units'
import { formatFields, formatTable } from './table'

/** One JSON document; an infinite perplexity has no JSON number and becomes `null`. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

export function formatModel(model: ModelSummary): string {
  const dtypes = Object.entries(model.dtypes)
    .map(([dtype, count]) => `${dtype} (${formatCount(count)})`)
    .join(', ')
  const shards = model.shards.length
  const mlpSize = mlpSizeOf(model)
  return formatFields([
    ['path', model.path],
    ['architecture', model.architecture + (model.supported ? '' : ' (not supported)')],
    ...(model.not_run === undefined
      ? []
      : [['not run', `layers have ${model.not_run}: ${NOT_RUN}`] as const]),
    ...Object.entries(model.refused_methods ?? {}).map(
      ([method, { message }]) => [`no ${method}`, message] as const,
    ),
    ...(model.refusal ? [['reason', reasonOf(model.refusal)] as const] : []),
    ['layers', String(model.num_hidden_layers)],
    ['hidden size', String(model.hidden_size)],
    ...(model.layer_types ? [['layer types', layerTypesText(model.layer_types)] as const] : []),
    ...(mlpSize === null ? [] : [['MLP size', String(mlpSize)] as const]),
    ...(model.experts ? [['experts', expertsOf(model)] as const] : []),
    ['attention heads', headsOf(model)],
    ['vocabulary', String(model.vocab_size)],
    [
      'context',
      model.max_position_embeddings === null ? NO_NUMBER : String(model.max_position_embeddings),
    ],
    ['tied embeddings', model.tie_word_embeddings ? 'yes' : 'no'],
    ['parameters', parametersOf(model)],
    ['element types', dtypes],
    [
      'size',
      `${formatBytes(model.bytes)} in ${plural(model.tensors, 'tensor')}, ${plural(shards, 'shard')}`,
    ],
    ['tokenizer', model.has_tokenizer ? 'yes' : 'none'],
    ...model.remarks.map((remark) => ['note', remark] as const),
  ])
}

function parametersOf(model: ModelSummary): string {
  const { decoder_parameters: decoder, experts } = model
  return [
    `${formatCount(model.parameters)} (${formatCount(model.parameters_per_layer)} a layer)`,
    ...(decoder === undefined ? [] : [`${formatCount(decoder)} in the text decoder`]),
    ...(experts ? [`${formatCount(experts.active_parameters)} a token`] : []),
  ].join(', ')
}

/** `2 of 8 a token, of size 14336, in 16 of 32 layers` */
function expertsOf({ experts, num_hidden_layers: layers }: ModelSummary): string {
  if (!experts) return ''
  return [
    expertsText(experts, String),
    ...(experts.layers === layers ? [] : [`in ${experts.layers} of ${layers} layers`]),
  ].join(', ')
}

function headsOf({
  num_attention_heads: heads,
  num_key_value_heads: shared,
}: ModelSummary): string {
  return heads === 0 ? NO_NUMBER : `${heads} (${shared} key/value)`
}

function reasonOf({ message, hint = '' }: NonNullable<ModelSummary['refusal']>): string {
  return `${message} ${hint}`.trim()
}

export function formatExpansion(result: ExpandResult): string {
  const layers = result.num_hidden_layers
  const added = result.new_layers.length
  const fields = formatFields([
    ['out', result.out],
    ['method', METHOD_NAMES[result.method]],
    ['layers', `${layers - added} → ${layers}`],
    ['new layers', formatGaps(result.new_layers)],
    ['parameters', formatCount(result.parameters)],
    ['size', `${formatBytes(result.bytes)} in ${plural(result.shards, 'shard')}`],
    ...(result.device === null
      ? []
      : [['device', `${result.device.device} (${result.device.reason})`] as const]),
    ['seed', String(result.seed)],
    ...(result.left_out === undefined || result.left_out.length === 0
      ? []
      : [['not copied', result.left_out.map(({ path }) => path).join(', ')] as const]),
    ['time', formatDuration(result.seconds * 1000)],
  ])
  if (result.fit) return `${fields}\n${readFit(result.fit).join('\n')}\n`
  const experts = expertLines(result)
  return result.predictors.length === 0
    ? `${fields}${experts}`
    : `${fields}${experts}\n${heldOutLine(result)}${formatPredictors(result.predictors)}`
}

/** What became of experts and routers; what a match that means nothing led to is a warning. */
function expertLines(result: ExpandResult): string {
  const { match, routing, routers } = readExperts(result)
  return [
    ...(match === null ? [] : [`\n${match}\n`]),
    ...(routing === null ? [] : [`\n${routing}\n`, ...routers.map((line) => `  ${line}\n`)]),
  ].join('')
}

/** What a job's folder holds, and what is left to do. */
export function formatStages(result: StagesResult): string {
  const { job, done, missing } = result
  return formatFields([
    ['job', job],
    ['done', done.join(', ') || 'nothing'],
    ['missing', missing.join(', ') || 'nothing'],
    ['time', formatDuration(result.seconds * 1000)],
    [
      'next',
      missing.length === 0
        ? `lesa assemble --job ${job} --out DIR`
        : `lesa expand … --job ${job} --only ${missing.join(',')}`,
    ],
  ])
}

/** What layers that were kept out of training say, before all other errors. */
function heldOutLine({ method, predictors }: ExpandResult): string {
  const found = heldOutVerdict(method, predictors)
  return found && found.outcome !== 'untested' ? `${found.sentence}\n\n` : ''
}

/** Errors are shown over that of predicting zero, and of predicting the neighbours' mean: below 1 is better than it. */
function formatPredictors(predictors: readonly PredictorReport[]): string {
  const right = 'right' as const
  const hasHoldout = predictors.some(({ holdout }) => holdout !== undefined)
  const hasSeveral = predictors.some(({ holdout }) => holdout && holdout.layers.length > 1)
  const table = formatTable(
    [
      { title: 'predictor' },
      { title: 'samples', align: right },
      { title: 'steps', align: right },
      { title: 'first loss', align: right },
      { title: 'last loss', align: right },
      { title: 'error/zero', align: right },
      { title: 'error/mean', align: right },
      { title: 'norm', align: right },
      ...(hasHoldout
        ? [
            { title: hasSeveral ? 'held-out layers' : 'held-out layer', align: right },
            { title: 'error/zero', align: right },
            { title: 'error/mean', align: right },
            { title: 'error/noise', align: right },
            { title: 'cosine', align: right },
          ]
        : []),
    ],
    predictors.map((report) => [
      report.weightType,
      String(report.samples),
      String(report.steps),
      short(report.lossPerEpoch[0]),
      short(report.lossPerEpoch.at(-1)),
      short(report.mse / report.mseOfZero),
      short(report.mse / report.mseOfMean),
      short(report.normRatio),
      ...(report.holdout === undefined
        ? []
        : [
            report.holdout.layers.map(({ layer }) => layer).join(', '),
            short(report.holdout.mse / report.holdout.mseOfZero),
            short(report.holdout.mse / report.holdout.mseOfMean),
            short(report.holdout.mse / mseOfNoise(report.holdout)),
            report.holdout.cosine.toFixed(3),
          ]),
    ]),
  )
  return (
    `${table}\nerror/zero, error/mean: mean squared error over that of predicting zero, or the neighbours' mean; ` +
    `below 1 is better.\n${hasHoldout ? 'error/noise: over that of noise with the prediction’s norm.\n' : ''}` +
    'norm: the predictions’ Frobenius norm over the targets’.\n'
  )
}

export function formatPerplexities(results: readonly PerplexityResult[], cwd: string): string {
  const right = 'right' as const
  return formatTable(
    [
      { title: 'model' },
      { title: 'layers', align: right },
      { title: 'perplexity', align: right },
      { title: '95 %', align: right },
      { title: 'scored', align: right },
      { title: 'context', align: right },
      { title: 'time', align: right },
    ],
    results.map((result) => [
      shortPath(result.model, cwd),
      String(result.num_hidden_layers),
      formatPerplexity(result.perplexity),
      formatInterval(result),
      String(result.predicted),
      String(result.context),
      formatDuration(result.seconds * 1000),
    ]),
  )
}

export function formatDevices(devices: readonly DeviceReport[], auto: DeviceDecision): string {
  const table = formatTable(
    [{ title: 'device' }, { title: 'works' }, { title: 'name' }, { title: 'reason' }],
    devices.map((report) => [
      report.device,
      report.available ? (report.isSoftware ? 'in software' : 'yes') : 'no',
      report.name ?? '–',
      report.reason,
    ]),
  )
  return `${table}\nauto takes ${auto.device}: ${auto.reason}\n`
}

/** Four decimals, or six significant digits of what has grown out of a table. */
export function formatPerplexity(perplexity: number): string {
  return perplexity < 10_000 ? perplexity.toFixed(4) : perplexity.toPrecision(6)
}

/** How far a perplexity may be off, `±0.3 %`: the larger side of its 95 % interval. */
export function formatInterval({ standardError }: PerplexityResult): string {
  if (standardError === null) return '–'
  const share = Math.expm1(1.96 * standardError)
  return share < 1 ? `±${(100 * share).toPrecision(2)} %` : `×${(1 + share).toPrecision(2)}`
}

/** A path below `cwd` is shown from there. */
export function shortPath(path: string, cwd: string): string {
  const below = relative(cwd, path)
  return below !== '' && !below.startsWith('..') ? below : path
}

function short(value: number | undefined): string {
  return value === undefined ? '–' : value.toPrecision(4)
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
