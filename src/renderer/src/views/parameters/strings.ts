import type { RestChoice } from '@shared/methods'
import { PREDICTOR_FIELDS, PRESET_SETTINGS, type PredictorPreset } from '@shared/predictorSettings'
import { formatNumber } from '@shared/units'
import { formatInteger } from '../../lib/numbers'
import type { ParameterText } from '../../strings/fields'

/** The Parameters view. */
export const PARAMETERS = {
  title: 'Parameters',
  undo: 'Undo',
  redo: 'Redo',
  next: 'To the run',
  resetAll: (count: number): string =>
    count === 1 ? 'Reset 1 changed value' : `Reset ${count} changed values`,
  noModel: 'The model is not here',
  noModelText: 'Say where it is now: the notice above has the button.',
  notLearned: (method: string): string => `${method} trains nothing`,
  notLearnedText:
    'It has no predictor; only what is below applies. Its layers are chosen in the plan.',
  preset: 'Training of the predictors',
  advanced: 'Advanced',
  advancedHint: 'The optimiser and the network; rarely worth a change.',
  growth: 'New layers',
  machine: 'This run',
  steps: (low: string, high: string): string =>
    low === high
      ? `${low} mini-batches for each weight type`
      : `${low} to ${high} mini-batches, depending on the weight type`,
  few: 'Few steps: held-out layers tell whether they are enough',
  fewText: (limit: string): string =>
    `With fewer than ${limit} mini-batches a predictor has hardly left its start. More of them lower the error on the layers it trains on, which need not help with layers it has not seen: hold some out below, and compare the held-out errors.`,
  useMatched: 'Use “Matched”',
  memory: 'Memory limit',
  memoryNone: 'none: what is free',
  memoryText: 'Main memory that a job may use, for the whole program.',
  memoryChange: 'Change in Settings',
  dtype: 'Element type',
  dtypeValue: 'as the base model',
  dtypeText:
    'The grown model is stored like its base; another type can be chosen when it is exported.',
  none: 'none',
  dropped: 'A value could not be taken',
  droppedText: (names: string): string => `${names}: the last good value stays.`,
} as const

export const PRESETS: Readonly<
  Record<PredictorPreset, { readonly name: string; readonly about: string }>
> = {
  paper: {
    name: 'Paper',
    about:
      'As published (ACL 2025): the start for a model large enough that five passes are many mini-batches.',
  },
  notebook: {
    name: 'Notebook',
    about:
      'As in the authors’ code: twice as long, with a ten times stronger pull to the right norm.',
  },
  matched: {
    name: 'Matched',
    about: 'As many mini-batches as the paper’s own run had, whatever the model’s size.',
  },
  small: {
    name: 'Small',
    about:
      'The paper’s with a length in mini-batches: the start for a small model, whose five passes are too few. Longer fits the layers that are there, not unseen ones.',
  },
}

/** In what the presets differ. */
export function presetValues(preset: PredictorPreset): string {
  const { lambda, length } = PRESET_SETTINGS[preset]
  return `λ ${formatNumber(lambda)} · ${formatInteger(length.value)} ${length.unit}`
}

export const PARAMETER_TEXTS = {
  ...PREDICTOR_FIELDS,
  energy: {
    label: 'Energy kept',
    meaning:
      'Share of the squared singular values whose directions are predicted; the rest is left out.',
    why: 'Below 1 saves time and memory on large models and drops the weakest directions.',
  },
  useSvd: {
    label: 'Singular coordinates',
    meaning:
      'Predict in the basis that all layers share (the method), or the weights’ own rows (the ablation).',
    why: 'Off shows what the decomposition is worth.',
  },
  holdout: {
    label: 'Held-out layers',
    meaning:
      'Layers that are predicted, as a test, by predictors that have not seen them. The new layers come from one that has seen all.',
    why: 'Tells whether layers are predicted or recalled. Each training of its own takes up to as long again; some is a few layers, spread evenly.',
  },
  rest: {
    label: 'Norms and biases',
    meaning: 'Where a new layer’s norm weights and biases come from: they are not predicted.',
    why: 'The authors’ notebook copies layer 0’s, by an accident of its code; the mean is the neutral choice.',
  },
  damp: {
    label: 'Damping',
    meaning: 'Factor of what the new layers add at first: of their output matrices.',
    why: '0 starts as LLaMA Pro does, answering as the base; a small factor keeps most of that and lets all matrices learn from the first step.',
  },
  align: {
    label: 'Align layers',
    meaning:
      'Match neurons and heads of neighbouring layers before new ones are computed: their order in a layer is arbitrary.',
    why: 'A mean of unmatched neurons mixes what has nothing in common. Large models take long to match.',
  },
  asPublished: {
    label: 'As published',
    meaning:
      'Leave the transported rows as small as the published code does, which does not divide by their mass.',
    why: 'To compare with what was published: it is half of the next layer, to 0.4 % and less.',
  },
  device: {
    label: 'Device',
    meaning: 'Where the heavy arithmetic runs.',
    why: 'To compare devices, or to leave the GPU to something else.',
  },
  seed: {
    label: 'Seed',
    meaning: 'Start of every random number: same seed, parameters and device, same bytes out.',
    why: 'To see how much of a result is chance.',
  },
} as const satisfies Readonly<Record<string, ParameterText>>

export const UNITS = { epochs: 'Epochs', steps: 'Steps' } as const

export const REST_NAMES: Readonly<Record<RestChoice, string>> = {
  mean: 'Mean of the two neighbours',
  previous: 'Previous layer’s',
  next: 'Next layer’s',
  first: 'Layer 0’s (notebook)',
}

/** The texts that a start is fitted to. */
export const ALSO = {
  title: 'Further checkpoints',
  note: 'Other checkpoints of the same model, from its training for instance: predictors learn from their layers too. New layers, and those that are held out, are of this model alone. Time and memory grow with each.',
  none: 'None: predictors learn from this model’s layers.',
  add: 'Add a checkpoint…',
  pick: 'Choose another checkpoint of the same model',
  twice: 'That checkpoint is in the list already.',
  own: 'That is the model itself.',
  remove: (name: string) => `Leave out ${name}`,
} as const

export const CALIBRATION = {
  title: (method: string) => `Text for ${method}`,
  note: 'The new layers take a step against the loss on this text; how far is chosen on other parts of it. Do not measure on the same text afterwards: what was seen says nothing about new text.',
  missing: 'Choose a text: without one this method cannot grow anything.',
  text: 'Text',
  textHint: 'Of the kind that the model is to learn: a file, or a folder of them.',
  oldText: 'Old text, against forgetting',
  oldTextHint: 'Of the kind that the model knows; a share of what is fitted to.',
  none: 'None',
  file: 'Another file…',
  folder: 'A folder…',
  fileTitle: 'Choose a text to fit to',
  folderTitle: 'Choose a folder of texts to fit to',
  tokens: 'Tokens a round',
  tokensHint: (count: string) =>
    `Empty: a few times the width of the MLP. Fewer than ${count} say little.`,
  tokensError: 'A whole number, 64 or more.',
  rounds: 'Rounds',
  roundsHint: 'Further steps, each on other parts of the text; few where the text is short.',
  roundChoices: Array.from({ length: 16 }, (_, index) => ({
    value: String(index + 1),
    label: String(index + 1),
  })),
  clear: 'Without a text',
} as const
