/** @file What decides how a predictor (an MLP of two hidden layers) is trained, with all that is said of it anywhere. */
import { SHARE, type Bounds } from './bounds'
import { holdoutFolds, layersLeft } from './holdout'
import type { ModelSummary } from './model'
import { formatNumber } from './units'

export const PREDICTOR_PRESETS = ['paper', 'notebook', 'matched', 'small'] as const
export type PredictorPreset = (typeof PREDICTOR_PRESETS)[number]

/** How long a predictor trains: whole passes over its samples, or a number of mini-batches. */
export interface TrainingLength {
  readonly unit: 'epochs' | 'steps'
  readonly value: number
}

export const LENGTH_BOUNDS: Readonly<Record<TrainingLength['unit'], Bounds>> = {
  epochs: { min: 1, max: 100_000, isWhole: true },
  steps: { min: 1, max: 10_000_000, isWhole: true },
}

/** Fewer mini-batches than this and the predictor has hardly left its start: the person is warned. */
export const FEW_STEPS = 2000

/** The same in every preset, or of each. */
type OfPresets<T> = { readonly all: T } | Readonly<Record<PredictorPreset, T>>

interface FieldTexts {
  /** Its turn among the flags and in the form; records keep the table's order. */
  readonly place: number
  /** In the form, with what it means and why one would change it. */
  readonly label: string
  readonly meaning: string
  readonly why: string
  /** In comparisons and model cards; fields of one key share a row. */
  readonly row: { readonly key: string; readonly label: string }
  /** Folded away in the form. */
  readonly isAdvanced: boolean
}

export interface NumberField extends FieldTexts {
  readonly kind: 'number'
  readonly bounds: Bounds
  readonly values: OfPresets<number>
  /** The flag's name where it is not the key, and its help. */
  readonly flag?: string
  readonly help: string
}

interface LengthField extends FieldTexts {
  readonly kind: 'length'
  readonly values: OfPresets<TrainingLength>
  readonly help: Readonly<Record<TrainingLength['unit'], string>>
}

const UNIT: Bounds = { min: 0, max: 1 }
const DECAY_RATE: Bounds = { min: 0, max: 1, excludes: 'max' }
const BETAS = { key: 'betas', label: 'β₁, β₂' } as const

/**
 * Every parameter. A new one is an entry here, and its part in the training graph. What all presets share are PyTorch's
 * AdamW defaults and the paper's batch and width (ACL 2025, section 3 and notebooks).
 */
export const PREDICTOR_FIELDS = {
  lambda: {
    kind: 'number',
    bounds: UNIT,
    values: { paper: 5e-5, notebook: 5e-4, matched: 5e-4, small: 5e-5 },
    place: 2,
    help: 'weight of the norm term in the loss',
    label: 'Norm weight λ',
    meaning: 'Weight of the loss’s second term, which pulls the prediction’s norm to the target’s.',
    why: 'Raise it when predicted layers come out too small (norm ratio below 1); 0 leaves the plain error.',
    row: { key: 'lambda', label: 'λ' },
    isAdvanced: false,
  },
  length: {
    kind: 'length',
    values: {
      paper: { unit: 'epochs', value: 5 },
      notebook: { unit: 'epochs', value: 10 },
      matched: { unit: 'steps', value: 10_000 },
      small: { unit: 'steps', value: FEW_STEPS },
    },
    place: 1,
    help: { epochs: 'passes over the samples', steps: 'mini-batches, instead of epochs' },
    label: 'Length',
    meaning:
      'How long each predictor trains: whole passes over its samples, or a number of mini-batches.',
    why: 'Longer lowers the loss until it flattens. A small model has few samples, so count steps there.',
    row: { key: 'length', label: 'Training length' },
    isAdvanced: false,
  },
  hiddenSize: {
    kind: 'number',
    bounds: { min: 1, max: 8192, isWhole: true },
    values: { all: 256 },
    place: 5,
    help: 'width of the two hidden layers',
    label: 'Hidden width',
    meaning: 'Width of both hidden layers of the predictor.',
    why: 'Wider can follow finer structure and learns its samples by heart sooner; costs time and memory.',
    row: { key: 'hiddenSize', label: 'Hidden size' },
    isAdvanced: true,
  },
  batchSize: {
    kind: 'number',
    bounds: { min: 1, max: 65_536, isWhole: true },
    values: { all: 64 },
    place: 4,
    help: 'samples in a mini-batch',
    label: 'Batch size',
    meaning: 'Samples in one mini-batch.',
    why: 'Larger is steadier and faster on a GPU, with fewer steps in an epoch.',
    row: { key: 'batchSize', label: 'Batch size' },
    isAdvanced: true,
  },
  learningRate: {
    kind: 'number',
    bounds: SHARE,
    values: { all: 1e-3 },
    place: 3,
    flag: 'lr',
    help: 'learning rate',
    label: 'Learning rate',
    meaning: 'Step size of AdamW.',
    why: 'Lower it when the loss jumps or grows; raise it when it falls steadily but slowly.',
    row: { key: 'learningRate', label: 'Learning rate' },
    isAdvanced: false,
  },
  beta1: {
    kind: 'number',
    bounds: DECAY_RATE,
    values: { all: 0.9 },
    place: 7,
    help: "AdamW's first decay rate",
    label: 'AdamW β₁',
    meaning: 'How long the optimiser remembers the gradient’s direction.',
    why: 'Hardly ever. Lower follows the newest batches more closely.',
    row: BETAS,
    isAdvanced: true,
  },
  beta2: {
    kind: 'number',
    bounds: DECAY_RATE,
    values: { all: 0.999 },
    place: 8,
    help: "AdamW's second decay rate",
    label: 'AdamW β₂',
    meaning: 'How long the optimiser remembers the gradient’s size.',
    why: 'Lower it (0.98) when the loss has sudden spikes.',
    row: BETAS,
    isAdvanced: true,
  },
  epsilon: {
    kind: 'number',
    bounds: SHARE,
    values: { all: 1e-8 },
    place: 9,
    help: "AdamW's ε",
    label: 'AdamW ε',
    meaning: 'Keeps the step finite where gradients vanish.',
    why: 'Raise it when a device with little precision gives no finite numbers.',
    row: { key: 'epsilon', label: 'ε' },
    isAdvanced: true,
  },
  weightDecay: {
    kind: 'number',
    bounds: UNIT,
    values: { all: 0.01 },
    place: 6,
    help: "AdamW's weight decay",
    label: 'Weight decay',
    meaning: 'How much each step shrinks the predictor’s weights.',
    why: 'Raise it when held-out layers are predicted far worse than the others.',
    row: { key: 'weightDecay', label: 'Weight decay' },
    isAdvanced: true,
  },
} as const satisfies Readonly<Record<string, NumberField | LengthField>>

type Fields = typeof PREDICTOR_FIELDS
export type PredictorKey = keyof Fields
/** Those that are a number. */
export type PredictorNumber = {
  [Key in PredictorKey]: Fields[Key]['kind'] extends 'number' ? Key : never
}[PredictorKey]

export type PredictorSettings = Readonly<Record<PredictorNumber, number>> & {
  readonly length: TrainingLength
}

/** In the order of records. */
export const PREDICTOR_KEYS = Object.keys(PREDICTOR_FIELDS) as readonly PredictorKey[]

/** In the order of flags and forms. */
export const PLACED_PREDICTOR_KEYS = [...PREDICTOR_KEYS].sort(
  (a, b) => PREDICTOR_FIELDS[a].place - PREDICTOR_FIELDS[b].place,
)

export function isPredictorKey(key: string): key is PredictorKey {
  return Object.hasOwn(PREDICTOR_FIELDS, key)
}

export function isPredictorNumber(key: string): key is PredictorNumber {
  return isPredictorKey(key) && PREDICTOR_FIELDS[key].kind === 'number'
}

/**
 * `paper`: as published. `notebook`: as in the authors' code. `matched`: as many steps as the paper's own run had.
 * `small`: the paper's, for as few steps as raise no warning, where its five epochs are fewer.
 */
export const PRESET_SETTINGS: Readonly<Record<PredictorPreset, PredictorSettings>> = {
  paper: settingsOf('paper'),
  notebook: settingsOf('notebook'),
  matched: settingsOf('matched'),
  small: settingsOf('small'),
}

function settingsOf(preset: PredictorPreset): PredictorSettings {
  return Object.fromEntries(
    PREDICTOR_KEYS.map((key) => {
      const { values } = PREDICTOR_FIELDS[key]
      return [key, 'all' in values ? values.all : values[preset]]
    }),
  ) as PredictorSettings
}

/** A setting as people read it: in comparisons by `label` and `value`, in model cards as `card`. */
export interface SettingRow {
  readonly key: string
  readonly label: string
  readonly value: string
  readonly card: readonly [name: string, value: string]
}

/** What settings say, a row for each or for those that share one. */
export function predictorRows(settings: PredictorSettings): SettingRow[] {
  const rows = new Map<string, SettingRow>()
  for (const key of PREDICTOR_KEYS) {
    const { row } = PREDICTOR_FIELDS[key]
    if (key === 'length') {
      const { unit, value } = settings.length
      rows.set(row.key, { ...row, value: `${value} ${unit}`, card: [unit, String(value)] })
      continue
    }
    const before = rows.get(row.key)
    const own = settings[key]
    const value = before ? `${before.value}, ${formatNumber(own)}` : formatNumber(own)
    const card = before ? `${before.card[1]}, ${own}` : String(own)
    const name = row.key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    rows.set(row.key, { ...row, value, card: [name, card] })
  }
  return [...rows.values()]
}

/** Mini-batches that a run of `length` takes over `samples` samples. */
export function countSteps(length: TrainingLength, samples: number, batchSize: number): number {
  return length.unit === 'steps' ? length.value : length.value * Math.ceil(samples / batchSize)
}

/**
 * Mini-batches that a weight type's predictor trains for, from the shape of its matrices `[rows, width]`: a sample for
 * each direction and each layer between two others. Where directions are left out (`energy`) or
 * the matrices lack rank there are fewer.
 */
export function trainingSteps(
  method: {
    readonly predictor: PredictorSettings
    readonly useSvd: boolean
  },
  shape: TrainedShape,
): number {
  const { length, batchSize } = method.predictor
  return countSteps(length, samplesOf(method, shape, []), batchSize)
}

/** Matrices `[rows, width]` of one weight type. */
export interface TrainedShape {
  readonly rows: number
  readonly width: number
  /** Of all chains: of checkpoints, of experts. */
  readonly layerCount: number
  /** How many there are, with as many layers each; 1 without it. */
  readonly chains?: number
}

/** Samples without layers that are kept out. */
function samplesOf(
  { useSvd }: { readonly useSvd: boolean },
  { rows, width, layerCount, chains = 1 }: TrainedShape,
  keptOut: readonly number[],
): number {
  const most = useSvd ? layerCount * width : Infinity
  const targets = chains * layersLeft(keptOut, layerCount / chains).length
  return targets * Math.min(rows, most)
}

/** The same for the predictors that held-out layers are predicted with; 0 where there are none. */
export function holdoutSteps(
  method: Parameters<typeof trainingSteps>[0] & {
    readonly holdout?: readonly number[] | null | undefined
  },
  shape: TrainedShape,
): number {
  const { length, batchSize } = method.predictor
  const { layerCount, chains = 1 } = shape
  const all = samplesOf(method, shape, [])
  return holdoutFolds(method.holdout ?? [], layerCount / chains).reduce((sum, fold) => {
    const samples = samplesOf(method, shape, fold)
    return sum + countSteps(holdoutLength(length, samples, all), samples, batchSize)
  }, 0)
}

/** How long a predictor trains on some of the samples, to see each of them as often as one that trains on all. */
export function holdoutLength(
  length: TrainingLength,
  samples: number,
  all: number,
): TrainingLength {
  if (length.unit === 'epochs') return length
  return { unit: 'steps', value: Math.max(1, Math.round((length.value * samples) / all)) }
}

/** What of a model decides how long predictors train. */
export type ModelShape = Pick<
  ModelSummary,
  | 'hidden_size'
  | 'intermediate_size'
  | 'num_attention_heads'
  | 'num_key_value_heads'
  | 'num_hidden_layers'
>

/**
 * Mini-batches that the predictors of a model's weight types train for, fewest and most. Heads are taken to share the
 * hidden size, which some configs have otherwise.
 */
export function stepsRange(
  method: Parameters<typeof trainingSteps>[0],
  model: ModelShape,
): { readonly low: number; readonly high: number } {
  const head = model.hidden_size / model.num_attention_heads
  const rows = [
    model.hidden_size,
    Math.max(1, Math.round(head * model.num_key_value_heads)),
    model.intermediate_size,
  ]
  const shape = { width: model.hidden_size, layerCount: model.num_hidden_layers }
  const steps = rows.map((count) => trainingSteps(method, { ...shape, rows: count }))
  return { low: Math.min(...steps), high: Math.max(...steps) }
}

/**
 * The preset where nobody chose one: `paper` where its epochs are enough mini-batches for every weight type, otherwise
 * `small`. An epoch is as many as a model has rows and inner layers for, so that five say nothing of a small one.
 *
 * @param options - What else is asked for that changes the number of mini-batches.
 */
export function presetFor(
  model: ModelShape,
  options: {
    readonly useSvd?: boolean
    readonly batchSize?: number
  } = {},
): PredictorPreset {
  const { useSvd = true, batchSize = PRESET_SETTINGS.paper.batchSize } = options
  const predictor = { ...PRESET_SETTINGS.paper, batchSize }
  return stepsRange({ predictor, useSvd }, model).low >= FEW_STEPS ? 'paper' : 'small'
}
