/** @file What the exported folder says of itself: `lesa.json` for programs and a model card for people. */
import { basename } from 'node:path'
import type { DeviceDecision } from '@shared/devices'
import type { ExpandSpec, PerplexityResult, PredictorReport } from '@shared/jobs'
import { METHOD_NAMES, methodSpecSchema } from '@shared/methods'
import { formatGaps, type ExpansionPlan } from '@shared/plan'
import { formatCount } from '@shared/units'

/** Version of `lesa.json`'s layout. */
const SCHEMA_VERSION = 1

const PROJECT = 'LESA Workbench'

export interface ExportRecord {
  readonly spec: Omit<ExpandSpec, 'kind' | 'out' | 'overwrite' | 'job'>
  readonly plan: ExpansionPlan
  readonly architecture: string
  readonly layersBefore: number
  readonly parameters: number
  readonly dtypes: readonly string[]
  readonly engineVersion: string
  /** `null` when nothing was computed, only copied. */
  readonly device: DeviceDecision | null
  readonly predictors: readonly PredictorReport[]
  readonly perplexities: readonly PerplexityResult[]
  readonly warnings: readonly string[]
}

/**
 * The record as data. `new_layers` are the indices that the base model does not have (to be trained), `layer_map[i]` the
 * base layer that layer i of the grown model is, or `null` for a new one (`origin` then says where it comes from).
 */
export function exportData(record: ExportRecord): Record<string, unknown> {
  const { spec, plan } = record
  // Through the schema, so that the keys come in one order whoever made the spec.
  const { name, ...parameters } = methodSpecSchema.parse(spec.method)
  return {
    schema_version: SCHEMA_VERSION,
    generator: { name: PROJECT, version: record.engineVersion },
    base_model: basename(spec.model),
    architecture: record.architecture,
    method: name,
    num_hidden_layers: { before: record.layersBefore, after: plan.layers.length },
    parameters: record.parameters,
    new_layers: plan.newLayers,
    layer_map: plan.layers.map((layer) => (layer.kind === 'original' ? layer.source : null)),
    layers: plan.layers.map((layer, index) => ({ index, ...origin(plan, layer) })),
    settings: {
      ...plan.resolved,
      ...parameters,
      rest: spec.rest,
      dtype: spec.dtype,
      max_shard_bytes: spec.maxShardBytes,
    },
    seed: spec.seed,
    device: record.device?.device ?? null,
    predictors: record.predictors,
    perplexities: record.perplexities.map(({ model, ...rest }) => ({
      model: basename(model),
      ...rest,
    })),
    warnings: record.warnings,
  }
}

function origin(plan: ExpansionPlan, layer: ExpansionPlan['layers'][number]): object {
  if (layer.kind !== 'computed') return { kind: layer.kind, source: layer.source }
  return { kind: plan.method, gap: layer.gap, between: [layer.left, layer.right] }
}

/** The model card (`README.md`) with the metadata block that model hubs read. */
export function modelCard(record: ExportRecord): string {
  const { spec, plan } = record
  const base = basename(spec.model)
  const after = plan.layers.length
  const title = `${base}, ${record.layersBefore} → ${after} layers (${METHOD_NAMES[plan.method]})`
  const sections = [
    [
      '---',
      `base_model: ${JSON.stringify(base)}`,
      'tags:',
      '- depth-up-scaling',
      `- ${plan.method}`,
      '---',
    ],
    [`# ${title}`],
    [
      `Grown from **${base}** (${record.architecture}) with ${METHOD_NAMES[plan.method]} by ${PROJECT} ` +
        `${record.engineVersion}: ${plan.newLayers.length} new layers, ${formatCount(record.parameters)} parameters ` +
        `in ${record.dtypes.join(', ')}. ${METHOD_NOTES[plan.method]}`,
    ],
    ['## Layers', '', layerTable(plan)],
    [
      'The new layers are meant to be trained further with the original ones frozen. `lesa.json` lists both for a ' +
        'training script: `new_layers`, and `layer_map` from each layer to the one it was.',
    ],
    ['## Parameters', '', parameterTable(record)],
    ...(record.perplexities.length > 0
      ? [['## Perplexity', '', perplexityTable(record.perplexities)]]
      : []),
    ...(record.predictors.length > 0
      ? [['## Predictors', '', predictorTable(record.predictors), '', PREDICTOR_NOTE]]
      : []),
    ...(record.warnings.length > 0
      ? [['## Warnings', '', ...record.warnings.map((warning) => `- ${warning}`)]]
      : []),
  ]
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

const METHOD_NOTES: Readonly<Record<ExpansionPlan['method'], string>> = {
  lesa:
    'Each new matrix is predicted from the singular coordinates of its neighbours (Yang et al., LESA, ACL 2025, ' +
    'arXiv 2502.13794).',
  noise:
    'A control, not a method: each new matrix is Gaussian noise with the Frobenius norm of the LESA prediction for the ' +
    'same place.',
  'llama-pro':
    'Each new layer is a copy of the one before it whose output projections are zero, so the model computes what it did ' +
    'before (Wu et al., LLaMA Pro, 2024, arXiv 2401.02415).',
  solar:
    'The first layers followed by the last ones of a second copy (Kim et al., SOLAR 10.7B, 2023, arXiv 2312.15166).',
  interpolation: 'Each new layer is a copy of the one before it.',
  stack: 'A group of layers is repeated.',
  'neighbour-mean': 'Each new layer is the mean of its two neighbours.',
}

const PREDICTOR_NOTE =
  'Errors are mean squared errors of the predicted coordinates; a predictor that has learned something is below both ' +
  '“of zero” and “of the mean”.'

function layerTable(plan: ExpansionPlan): string {
  const rows = plan.newLayers.map((index) => {
    const layer = plan.layers[index]
    if (!layer) return []
    const source =
      layer.kind === 'computed'
        ? `between layers ${layer.left} and ${layer.right} of this model (gap ${layer.gap})`
        : layer.kind === 'identity'
          ? `copy of base layer ${layer.source}, output projections zero`
          : `copy of base layer ${layer.source}`
    return [String(index), source]
  })
  return table(['New layer', 'From'], rows)
}

function parameterTable({ spec, plan, device }: ExportRecord): string {
  const { method } = spec
  const rows: [string, string][] = Object.entries(plan.resolved).map(([name, value]) => [
    name,
    typeof value === 'number'
      ? String(value)
      : name === 'gaps'
        ? formatGaps(value)
        : value.join(', '),
  ])
  if (method.name === 'lesa' || method.name === 'noise') {
    const { predictor } = method
    rows.push(
      ['decomposition', method.useSvd ? 'SVD' : 'none (rows of the weights)'],
      ['energy', String(method.energy)],
      ['lambda', String(predictor.lambda)],
      [predictor.length.unit, String(predictor.length.value)],
      ['hidden_size', String(predictor.hiddenSize)],
      ['batch_size', String(predictor.batchSize)],
      ['learning_rate', String(predictor.learningRate)],
      ['betas', `${predictor.beta1}, ${predictor.beta2}`],
      ['epsilon', String(predictor.epsilon)],
      ['weight_decay', String(predictor.weightDecay)],
      ['holdout', method.holdout === undefined ? 'none' : `layer ${method.holdout}`],
    )
  }
  rows.push(
    ['norm weights and biases', spec.rest],
    ['dtype', spec.dtype],
    ['seed', String(spec.seed)],
    ['device', device ? device.device : 'none needed'],
  )
  return table(['Parameter', 'Value'], rows)
}

function perplexityTable(results: readonly PerplexityResult[]): string {
  const rows = results.map((result) => [
    basename(result.model),
    String(result.num_hidden_layers),
    result.perplexity.toPrecision(6),
    String(result.tokens),
    String(result.context),
  ])
  return table(['Model', 'Layers', 'Perplexity', 'Tokens', 'Context'], rows)
}

function predictorTable(reports: readonly PredictorReport[]): string {
  const rows = reports.map((report) => [
    report.weightType,
    String(report.samples),
    String(report.steps),
    (report.lossPerEpoch.at(-1) ?? NaN).toExponential(3),
    report.mse.toExponential(3),
    report.mseOfZero.toExponential(3),
    report.mseOfMean.toExponential(3),
    report.normRatio.toFixed(3),
    report.holdout
      ? `${report.holdout.mse.toExponential(3)} (zero ${report.holdout.mseOfZero.toExponential(3)}, ` +
        `mean ${report.holdout.mseOfMean.toExponential(3)}, cosine ${report.holdout.cosine.toFixed(2)})`
      : '–',
  ])
  const head = [
    'Type',
    'Samples',
    'Steps',
    'Last loss',
    'Error',
    'of zero',
    'of the mean',
    'Norm ratio',
    'Held out',
  ]
  return table(head, rows)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
