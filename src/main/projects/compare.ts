import { heldOutVerdict, ownReports } from '@shared/heldOut'
import { modelNameOf } from '@shared/hub'
import type { PredictorReport } from '@shared/jobs'
import {
  isLayoutKey,
  METHOD_NAMES,
  type RestChoice,
  methodNamed,
  type MethodSpec,
} from '@shared/methods'
import { methodRows, SETTING_LABELS } from '@shared/methods/rows'
import type { ModelSummary } from '@shared/model'
import { baseName } from '@shared/paths'
import type { LayerTypes } from '@shared/methods/layers'
import { planExpansion, type ExpansionPlan } from '@shared/plan'
import {
  settingDiffers,
  wasTrained,
  type Comparison,
  type CompareRow,
  type Perplexity,
  type ProjectText,
  type RunCalibration,
  type RunSettings,
  type RunSummary,
  type TextPlace,
} from '@shared/projects'
import { formatCount, formatNumber } from '@shared/units'

/** Every setting in the order of the forms; a row has those that its method has. */
const SETTINGS: readonly { readonly key: string; readonly label: string }[] = [
  { key: 'method', label: 'Method' },
  ...SETTING_LABELS,
  { key: 'also', label: 'Further checkpoints' },
  { key: 'rest', label: 'Norms and biases' },
  { key: 'calibration', label: 'Fitted to' },
  { key: 'damp', label: 'Damping' },
  { key: 'align', label: 'Layers aligned' },
  { key: 'dtype', label: 'Element type' },
  { key: 'seed', label: 'Seed' },
  { key: 'training', label: 'Trained since' },
]

const REST_TEXTS: Readonly<Record<RestChoice, string>> = {
  mean: 'mean of the neighbours’',
  previous: 'previous layer’s',
  next: 'next layer’s',
  first: 'layer 0’s',
}

export interface CompareInput {
  readonly baseName: string
  readonly base: ModelSummary | null
  readonly runs: readonly RunSummary[]
  readonly perplexities: readonly Perplexity[]
  readonly texts: readonly ProjectText[]
}

/** The base model and runs side by side. Runs that have not succeeded have nothing to compare. */
export function compareRuns(input: CompareInput): Comparison {
  const { base, texts } = input
  const of = (subject: string): Perplexity[] =>
    input.perplexities.filter((measured) => measured.subject === subject)
  const baseRow: CompareRow[] = base
    ? [
        {
          subject: 'base',
          name: input.baseName,
          method: null,
          layers: base.num_hidden_layers,
          newLayers: 0,
          parameters: base.parameters,
          bytes: base.bytes,
          seconds: null,
          device: null,
          perplexities: of('base'),
          quality: null,
          trainedSteps: null,
          isTrainedElsewhere: false,
          verdict: null,
          settings: {},
        },
      ]
    : []
  const compared = input.runs.filter(({ result }) => result)
  const isAnyTrained = compared.some(wasTrained)
  const runRows = compared.map((run) =>
    rowOf(run, of(run.id), { texts, types: base?.layer_types, tellsTraining: isAnyTrained }),
  )
  const rows = [...baseRow, ...runRows]
  const used = SETTINGS.filter(({ key }) => rows.some(({ settings }) => key in settings))
  return {
    rows,
    vocabularySize: base?.vocab_size ?? null,
    settings: used.map((known) => {
      const setting = { ...known, isLayout: isLayoutKey(known.key) }
      return { ...setting, differs: settingDiffers(setting, runRows) }
    }),
    measurements: measurementsOf(rows, texts),
  }
}

function rowOf(
  run: RunSummary,
  perplexities: Perplexity[],
  {
    texts,
    types,
    tellsTraining,
  }: {
    texts: readonly ProjectText[]
    types: LayerTypes | undefined
    tellsTraining: boolean
  },
): CompareRow {
  const { result, settings, training, elsewhere } = run
  const isTrained = wasTrained(run)
  return {
    subject: run.id,
    name: run.name,
    method: run.method,
    layers: run.layersAfter,
    newLayers: run.newLayers.length,
    parameters: result?.parameters ?? 0,
    bytes: result?.bytes ?? 0,
    seconds: result && result.seconds + (training?.seconds ?? 0),
    device: run.device?.device ?? null,
    perplexities,
    // Trained layers are no predictions any more.
    quality: isTrained ? null : qualityOf(ownReports(run.method, result?.predictors ?? [])),
    trainedSteps: training
      ? training.records.reduce((sum, { steps }) => sum + steps, 0)
      : (elsewhere?.steps ?? null),
    isTrainedElsewhere: elsewhere !== null,
    verdict: isTrained ? null : heldOutVerdict(run.method, result?.predictors ?? []),
    settings: {
      ...describeSettings(settings, run.layersBefore, { texts, types }),
      ...(tellsTraining ? { training: describeTraining(run) } : {}),
    },
  }
}

function qualityOf(reports: readonly PredictorReport[]): CompareRow['quality'] {
  if (reports.length === 0) return null
  const held = reports.flatMap(({ holdout }) => (holdout ? [holdout] : []))
  const over = (
    list: readonly { mse: number; mseOfZero: number; mseOfMean: number }[],
    yardstick: 'mseOfZero' | 'mseOfMean',
  ): number => geometricMean(list.map((report) => report.mse / report[yardstick]))
  return {
    errorOverZero: over(reports, 'mseOfZero'),
    errorOverMean: over(reports, 'mseOfMean'),
    heldOutOverZero: held.length > 0 ? over(held, 'mseOfZero') : null,
    heldOutOverMean: held.length > 0 ? over(held, 'mseOfMean') : null,
    heldOutCosine:
      held.length > 0 ? held.reduce((sum, { cosine }) => sum + cosine, 0) / held.length : null,
  }
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

/** A plan that was run before and would be refused now has nothing to add to what was asked for. */
function planOf(
  method: MethodSpec,
  layers: number,
  types?: LayerTypes,
): Pick<ExpansionPlan, 'resolved'> {
  try {
    return planExpansion(method, layers, types)
  } catch {
    return { resolved: {} }
  }
}

/** Every setting as people read it; what was left to the program is shown with the value it took. */
export function describeSettings(
  { method, also, rest, calibration, damp, align, dtype, seed }: RunSettings,
  layers: number,
  {
    texts = [],
    types,
  }: { readonly texts?: readonly ProjectText[]; readonly types?: LayerTypes | undefined } = {},
): Record<string, string> {
  const plan = planOf(method, layers, types)
  const computes = methodNamed(method.name).fill !== undefined
  return {
    method: METHOD_NAMES[method.name],
    ...Object.fromEntries(methodRows(method, plan).map(({ key, value }) => [key, value])),
    ...(also ? { also: also.map(modelNameOf).join(', ') } : {}),
    // Copies come with their own norms and biases.
    ...(computes ? { rest: REST_TEXTS[rest] } : {}),
    ...(calibration ? { calibration: describeCalibration(calibration, texts) } : {}),
    ...(damp === undefined ? {} : { damp: damp === 'auto' ? damp : formatNumber(damp) }),
    ...(align === true ? { align: 'yes' } : {}),
    dtype: dtype === 'keep' ? 'as the base' : dtype,
    seed: String(seed),
  }
}

function describeCalibration(
  { text, oldText, tokens }: RunCalibration,
  texts: readonly ProjectText[],
): string {
  const nameOf = (place: TextPlace): string =>
    'path' in place
      ? baseName(place.path)
      : (texts.find(({ id }) => id === place.text)?.name ?? place.text)
  return [
    nameOf(text),
    ...(oldText ? [`old: ${nameOf(oldText)}`] : []),
    ...(tokens === undefined ? [] : [`${formatCount(tokens)} tokens`]),
  ].join(', ')
}

function describeTraining({ training, elsewhere }: RunSummary): string {
  if (elsewhere) {
    const steps = elsewhere.steps === null ? '' : `, ${formatCount(elsewhere.steps)} steps`
    return `elsewhere, from ${elsewhere.runName}${steps}`
  }
  if (!training) return 'no'
  return training.records
    .map(
      ({ steps, tokens, lr }) =>
        `${formatCount(steps)} steps, ${formatCount(tokens)} tokens, rate ${formatNumber(lr)}`,
    )
    .join('; ')
}

function measurementsOf(
  rows: readonly CompareRow[],
  texts: readonly ProjectText[],
): Comparison['measurements'] {
  const found = new Map<string, Comparison['measurements'][number]>()
  for (const { text, context, perLine, tokens } of rows.flatMap((row) => row.perplexities)) {
    const name = texts.find(({ id }) => id === text)?.name ?? text
    found.set(`${text}/${context}/${perLine}`, { text, name, context, perLine, tokens })
  }
  return [...found.values()]
}
