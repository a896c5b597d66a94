/** @file The grown folder's model card: what it says of itself to people. */
import { describeDamping } from '@shared/damping'
import { describeExperts, describeRouting } from '@shared/experts'
import type { CardDefaults } from '@shared/exports'
import { modelNameOf, shortRevision } from '@shared/hub'
import type { FitReport } from '@shared/fit'
import { readFit } from '@shared/fitReading'
import type { PredictorReport, PublishedPerplexity } from '@shared/jobs'
import { METHOD_NAMES, methodNamed } from '@shared/methods'
import { methodRows } from '@shared/methods/rows'
import type { ExpansionPlan } from '@shared/plan'
import { mseOfNoise } from '@shared/heldOut'
import { perplexityInterval } from '@shared/perplexity'
import { formatCount } from '@shared/units'
import { writeFrontMatter } from './frontMatter'
import { PROJECT } from '../lib/version'
import type { GrowthRecord } from './lesaJson'
import { oneLine, table } from './markdown'
import { trainingSection } from './trainingSection'

/** What the card says without a person's edits. */
export function cardDefaults({ spec, plan, base, layersBefore }: GrowthRecord): CardDefaults {
  const method = METHOD_NAMES[spec.method.name]
  return {
    title: `${base.name}, ${layersBefore} → ${plan.layers.length} layers (${method})`,
    author: '',
    baseModel: base.id ?? '',
    license: base.license,
    languages: [...base.languages],
  }
}

/** The model card (`README.md`) with the metadata block that model hubs read. */
export function modelCard(record: GrowthRecord): string {
  const { plan, base } = record
  const defaults = cardDefaults(record)
  const told = (key: 'title' | 'author' | 'baseModel' | 'license'): string =>
    oneLine(record.card?.[key] ?? defaults[key])
  const [baseModel, license, author] = [told('baseModel'), told('license'), told('author')]
  const isSameLicense = license === base.license
  const head = writeFrontMatter({
    library_name: 'transformers',
    pipeline_tag: record.pipeline,
    base_model: baseModel,
    // Of what the hub knows (adapter, finetune, merge, quantized) the one that may have other weights and layers.
    base_model_relation: baseModel === '' ? '' : 'finetune',
    license,
    license_name: isSameLicense ? base.licenseName : '',
    license_link: isSameLicense ? base.licenseLink : '',
    language: record.card?.languages ?? defaults.languages,
    tags: ['depth-up-scaling', plan.method],
  })
  const revision = base.revision === null ? '' : `, revision ${shortRevision(base.revision)}`
  const sections = [
    [head],
    [`# ${told('title') || defaults.title}`],
    ...(author === '' ? [] : [[`By ${author}.`]]),
    [
      `Grown from **${base.name}** (${record.architecture}${revision}) with ${METHOD_NAMES[plan.method]} by ${PROJECT} ` +
        `${record.engineVersion}: ${plan.newLayers.length} new layers, ${formatCount(record.parameters)} parameters ` +
        `in ${record.dtypes.join(', ')}. ${noteOf(plan.method)}`,
    ],
    ['## Layers', '', layerTable(plan)],
    [
      'The new layers are meant to be trained further with the original ones frozen. `lesa.json` lists both for a ' +
        'training script: `new_layers`, and `layer_map` from each layer to the one it was.',
    ],
    ['## Parameters', '', parameterTable(record)],
    ...(record.damping === undefined ? [] : [[describeDamping(record.damping)]]),
    // Where they do not correspond it is among the warnings.
    ...(record.experts?.isMeaningful === true ? [[describeExperts(record.experts, false)]] : []),
    ...(record.routing === undefined ? [] : [[describeRouting(record.routing)]]),
    ...(record.perplexities.length > 0
      ? [['## Perplexity', '', perplexityTable(record.perplexities)]]
      : []),
    ...(record.predictors.length > 0
      ? [['## Predictors', '', predictorTable(record.predictors), '', PREDICTOR_NOTE]]
      : []),
    ...(record.fit === undefined ? [] : [fitSection(record.fit)]),
    ...(record.warnings.length > 0
      ? [['## Warnings', '', ...record.warnings.map((warning) => `- ${warning}`)]]
      : []),
    ...(record.trainings ?? []).map((training, index) => [trainingSection(training, index)]),
  ]
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

/** How the method makes its new layers, and who published it. */
function noteOf(method: ExpansionPlan['method']): string {
  const { note, source } = methodNamed(method)
  return source === undefined ? `${note}.` : `${note} (${source}).`
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
          ? `copy of base layer ${layer.source}, ${layer.isFitted === true ? 'output projections fitted' : 'adds nothing'}`
          : `copy of base layer ${layer.source}`
    return [String(index), source]
  })
  return table(['New layer', 'From'], rows)
}

function parameterTable({ spec, plan, device, damping }: GrowthRecord): string {
  const { options } = methodNamed(plan.method)
  const further = Object.entries(plan.resolved).filter(([name]) => !(name in options))
  return table(
    ['Parameter', 'Value'],
    [
      ...methodRows(spec.method, plan).map(({ card }) => card),
      ...further.map(([name, value]) => [name, String(value).replaceAll(',', ', ')]),
      ...(spec.also === undefined
        ? []
        : [['further checkpoints', spec.also.map(modelNameOf).join(', ')]]),
      ['norm weights and biases', spec.rest],
      ...(spec.align === true ? [['layers aligned', 'yes']] : []),
      ...(spec.damp === undefined ? [] : [['damping', String(damping?.factor ?? spec.damp)]]),
      ['dtype', spec.dtype],
      ['seed', String(spec.seed)],
      ['device', device ? device.device : 'none needed'],
    ],
  )
}

function perplexityTable(results: readonly PublishedPerplexity[]): string {
  const rows = results.map((result) => {
    const interval = perplexityInterval(result)
    return [
      modelNameOf(result.model),
      result.text + (result.perLine ? ' (mean over lines)' : ''),
      String(result.num_hidden_layers),
      result.perplexity.toPrecision(6),
      interval ? interval.map((limit) => limit.toPrecision(5)).join(' – ') : '–',
      String(result.tokens),
      String(result.context),
    ]
  })
  const head = ['Model', 'Text', 'Layers', 'Perplexity', '95 % interval', 'Tokens', 'Context']
  return table(head, rows)
}

/** What the new layers were fitted to, and what came of it. */
function fitSection(fit: FitReport): string[] {
  const texts = (kind: string, list: FitReport['texts']): string[][] =>
    list.map(({ name, documents, tokens }) => [name, kind, String(documents), String(tokens)])
  return [
    '## Fit',
    '',
    table(
      ['Text', 'For', 'Documents', 'Tokens'],
      [...texts('what is new', fit.texts), ...texts('what is to be kept', fit.old_texts)],
    ),
    '',
    table(
      ['Round', 'Tokens', 'Loss on them before', 'Step', 'Loss on other windows, without and with'],
      fit.rounds.map(({ tokens, loss, step, tried }, round) => [
        String(round + 1),
        String(tokens),
        loss.toFixed(4),
        String(step),
        [0, step]
          .map((wanted) => (tried.find(([each]) => each === wanted)?.[1] ?? NaN).toFixed(4))
          .join(', '),
      ]),
    ),
    '',
    readFit(fit).join(' '),
  ]
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
      ? `${report.holdout.layers.map(({ layer }) => layer).join(', ')}: ` +
        `${report.holdout.mse.toExponential(3)} (zero ${report.holdout.mseOfZero.toExponential(3)}, ` +
        `mean ${report.holdout.mseOfMean.toExponential(3)}, ` +
        `noise ${mseOfNoise(report.holdout).toExponential(3)}, cosine ${report.holdout.cosine.toFixed(2)})`
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
