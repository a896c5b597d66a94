import { decaySteps, type ScheduleName } from '@shared/pretraining'
import { formatBytes } from '@shared/units'
import type { AmountUnit, TrainingField, TrainingPreset } from '../../lib/trainingFields'
import type { ParameterText } from '../../strings/fields'
import type { RaceAxis, RaceView } from './race'

const listed = new Intl.ListFormat('en', { style: 'long', type: 'conjunction' })
const plural = (count: number, one: string, many: string): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`

/** What the Train view says. */
export const TRAIN = {
  title: 'Train',
  trainings: 'Trainings',
  models: (count: number) => plural(count, 'model', 'models'),
  newTraining: 'New training',
  noTrainings: 'No training yet',
  notFound: 'This training is not in the project any more.',
  loading: 'Loading the training…',

  emptyTitle: 'Nothing to train yet',
  emptyText:
    'Here the new layers of grown models go on learning, everything else frozen, side by side on the same text: the curves say which way of growing was worth it. Grow a model first.',
  toPlan: 'Plan a model',

  starts: 'What is trained',
  startsNote:
    'The new layers of each; all others stay as they are, to the bit. Several run a race: same text, same order.',
  compareStarts: 'Compare starts',
  compareStartsTitle: (names: string) => `Choose ${names} at the same depth`,
  startsLabel: 'Grown models that can be trained',
  model: 'Model',
  method: 'Method',
  depth: 'Depth',
  new: 'New',
  size: 'Size',
  choose: (name: string) => `Train ${name}`,
  trained: 'trained',
  growing: 'being grown',
  noRuns: 'No grown model is there to train. “Compare starts” grows what is missing first.',
  missing: 'Grown first',
  missingNote: (names: readonly string[]) =>
    `${listed.format(names)} ${names.length === 1 ? 'is' : 'are'} missing at this depth and will be grown before the training begins.`,
  leaveOut: (name: string) => `Do not grow ${name}`,
  impossible: (name: string, reason: string) => `${name} is left out: ${reason}`,
  depthsDiffer: (depths: readonly number[]) =>
    `The chosen models have different depths (${depths.join(', ')} layers): deeper ones have more to train, and part of a difference is the depth, not the method.`,
  chosen: (count: number) => (count === 0 ? 'None chosen' : `${count} chosen`),
  tooMany: (most: number) =>
    `At most ${most} trainings run beside each other, repeats counted: choose fewer models, or fewer repeats.`,

  texts: 'On which texts',
  textsNote:
    'Plain text, JSON Lines or Parquet, also gzipped; more of it is better than seeing it twice.',
  textsLabel: 'Texts',
  useText: (name: string) => `Train on ${name}`,
  addText: 'Add texts…',
  addFile: 'Add a file…',
  addFolder: 'Add a folder…',
  addFileTitle: 'Choose a file of text',
  addFolderTitle: 'Choose a folder of texts',
  removePath: (path: string) => `Take ${path} away`,
  noTexts:
    'There is no text yet. Add files or a folder: some megabytes, of the kind that the model is to know.',
  missingText: '(missing)',
  evaluate: 'Evaluate on',
  evaluateHint: 'What the models are not trained on: the loss there is what is compared.',
  heldBack: 'A share held back',
  share: 'Share held back',
  forgetting: 'Watch forgetting on',
  forgettingHint:
    'Text of the kind that the base knows. If the loss there rises, it is being forgotten.',
  none: 'Nothing',
  otherFile: 'Another file…',
  epochs: (times: string) =>
    `The texts are read about ${times} times over: a low training loss then tells of recall. Look at the evaluation loss, or add text.`,

  how: 'How',
  preset: 'How long',
  all: 'All settings',
  allHint: 'Length, rates, schedule, chance, and what is saved.',
  changed: (count: number) => `${count} changed`,
  resetAll: 'Back to the preset',
  groups: {
    length: 'Length and batches',
    rates: 'Rates',
    limits: 'Optimiser',
    measuring: 'Measuring and saving',
    chance: 'Chance',
    what: 'What moves',
    machine: 'This machine',
  },
  unitLabel: 'Unit of the length',
  automatic: 'automatic',
  memory: 'Memory limit',
  memoryNone: 'none: what is free',
  memoryChange: 'Change in Settings',
  memoryText: 'Main memory that a job may use, for the whole program.',
  trials: (rates: number, steps: number) =>
    `Each model is first tried with each of the ${rates} rates for ${plural(steps, 'step', 'steps')}, and goes on with its best.`,
  ofSteps: (steps: number, tokens: string) =>
    `${plural(steps, 'step', 'steps')} of ${tokens} tokens`,

  estimate: 'What it will cost',
  estimateAgain: 'Estimate again',
  estimating: 'Estimating…',
  noEstimate: 'Choose at least one grown model and one text to know.',
  estimateLater: 'It is told once one of the models is grown.',
  hopelessTitle: (time: string) => `On this machine it would take ${time}`,
  hopeless: (step: string) =>
    `A step takes ${step}. Train on a machine with a GPU instead: Export writes the grown model with a model card that names its new layers and holds a recipe for training them there.`,
  toExport: 'To Export',

  start: 'Start',
  name: 'Name',
  nameHint: 'Optional. How the training is called in lists.',
  startTraining: 'Train',
  startRace: (count: number) => `Train ${count} models`,
  addToQueue: 'Add to queue',
  runAnyway: 'Train anyway',
  commandHint: 'The same training as one command. It writes where --out says.',
  pickModels: 'Choose at least one model.',
  pickTexts: 'Choose at least one text.',
  fixFields: (names: readonly string[]) => `Correct first: ${listed.format(names)}.`,
  noTokenizer:
    'The model has no tokenizer (tokenizer.json): without one a text cannot be cut into tokens.',

  pause: 'Pause',
  pauseTitle: 'Stop once the state is saved; Resume goes on from there',
  pausing: 'Pausing…',
  cancel: 'Cancel',
  cancelling: 'Cancelling…',
  resume: 'Resume',
  again: 'Train again…',
  againTitle: 'Prepare a new training with the same settings',
  more: 'More actions',
  rename: 'Rename…',
  renameIt: 'Rename',
  renameTitle: 'Rename the training',
  delete: 'Delete training…',
  deleteTitle: 'Delete the training?',
  deleteText: (name: string, id: string) =>
    `“${name}” (${id}) is deleted for good: its curves, its log, and what it could go on from. The models that it has trained stay, as runs.`,
  deleteIt: (name: string) => `Delete “${name}”`,
  deleted: (name: string) => `“${name}” is deleted`,
  facts: (models: number, texts: string) => `${plural(models, 'model', 'models')} on ${texts}`,
  textsList: (names: readonly string[]) =>
    names.length > 3
      ? `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`
      : listed.format(names),

  progress: 'Progress of the training',
  percent: (share: number) => `${Math.floor(share * 100)} %`,
  elapsed: (time: string) => `${time} elapsed`,
  after: (time: string) => `After ${time}`,
  left: (time: string) => `about ${time} left`,
  speed: (tokens: string) => `${tokens} tokens/s`,
  waiting: 'It starts when the jobs before it have ended.',
  waitingFor: (names: readonly string[]) =>
    `It starts when ${listed.format(names)} ${names.length === 1 ? 'is' : 'are'} grown.`,
  pausingNote: 'It pauses when what it computes now is finished and kept.',
  pausedNote: 'The training is paused. All that was trained so far is kept.',
  interruptedNote: 'The program ended while this training was open.',
  cancelledKept:
    'The training was cancelled. The last state that was saved is kept, so that it can go on.',
  cancelledNothing: 'The training was cancelled. Nothing unfinished was left behind.',
  resumeHint: (bytes: number) =>
    `Resume goes on from the last state that was saved${bytes > 0 ? ` (${formatBytes(bytes)} are kept for it)` : ''}.`,
  failedKept:
    'The last state that was saved is kept: Resume goes on from it once the cause is gone.',
  otherModel: 'This training was made with another base model than the project has now.',

  loss: 'Loss',
  lossLabel: (names: readonly string[]) => `Loss of ${listed.format(names)} while they are trained`,
  forgettingTitle: 'Forgetting',
  forgettingLabel: (names: readonly string[]) =>
    `Loss of ${listed.format(names)} on the text that is watched for forgetting`,
  forgettingNote: 'Above the base’s line, the model does worse on that text than the base.',
  noForgetting: 'No text is watched for forgetting.',
  lossValue: 'Loss (nats a token)',
  base: 'Base model',
  axisLabel: 'Drawn along',
  axes: { steps: 'Steps', tokens: 'Tokens', time: 'Time' } satisfies Record<RaceAxis, string>,
  axisNames: { steps: 'Step', tokens: 'Tokens', time: 'Time' } satisfies Record<RaceAxis, string>,
  viewLabel: 'Which loss',
  views: { both: 'Both', eval: 'Evaluation', loss: 'Training' } satisfies Record<RaceView, string>,
  scaleLabel: 'Loss axis',
  log: 'Log',
  linear: 'Linear',
  seeAll: 'See everything',
  legend: {
    both: 'With marks: evaluation. Thin: training, smoothed; faint behind it, as measured.',
    eval: 'On text that is not trained on.',
    loss: 'Training loss, smoothed; faint behind it, as measured.',
  } satisfies Record<RaceView, string>,
  legendBase: 'Dotted: the base model.',
  legendSeeds: (count: number) =>
    `Mean of ${count} seeds; the shade reaches from the lowest to the highest.`,
  zoomNote: 'Drag to zoom in, double-click to see everything.',
  noCurves: 'No loss yet: the texts are read, the base is measured, and rates are tried first.',
  shownStarts: 'Models shown',
  columns: {
    model: 'Model',
    kind: 'Loss',
    seed: 'Seed',
    first: 'First',
    last: 'Last',
    lowest: 'Lowest',
    points: 'Points',
    step: 'step',
    value: 'loss',
    seconds: 'seconds',
    tokens: 'tokens',
  },
  kinds: { loss: 'training', eval: 'evaluation', forgetting: 'forgetting' },

  reach: 'Steps to the same loss',
  reachNote:
    'The paper’s own measure: what it took each model to come to the loss that another one ends with.',
  reachTarget: 'The loss that',
  reachTargetEnd: (loss: string) => `ends with: ${loss}`,
  reachLabel: (name: string) => `What it took to come to the loss that ${name} ends with`,
  reachColumns: {
    model: 'Model',
    ends: 'Ends with',
    steps: 'Steps',
    tokens: 'Tokens',
    time: 'Time',
  },
  reachRatio: (name: string) => `Of ${name}’s steps`,
  never: 'not reached',
  notYet: 'not yet',
  itself: 'itself',
  seedsRange: (low: string, high: string) => `${low}–${high} over the seeds`,
  seedsSome: (low: string) => `from ${low}; not with every seed`,

  outcome: 'What became of each',
  outcomeColumns: {
    model: 'Model',
    rate: 'Rate',
    steps: 'Steps',
    first: 'Loss before',
    last: 'after',
    forgetting: 'Forgetting',
    time: 'Time',
    next: 'Look at it',
  },
  trialsTitle: (count: number) => `${count} rates tried`,
  trialRow: (rate: string, loss: string, steps: number) =>
    `${rate}: ${loss} after ${plural(steps, 'step', 'steps')}`,
  trialCost: (time: string) => `Trials of rates that were not gone on with took ${time}.`,
  diverged: (step: number) => `Diverged at step ${step.toLocaleString('en')}`,
  divergedText: (name: string, step: number, loss: string) =>
    `${name} lost its loss at step ${step.toLocaleString('en')} (${loss}): it was stopped there, and no model was written. A lower rate or a longer warm-up helps.`,
  gone: 'deleted',
  inLayers: 'Layers',
  inCompare: 'Compare',
  inExport: 'Export',
  warnings: 'What to know about it',
  reading: 'What this shows',
  asked: 'What was asked',
  tokensPerStep: 'Tokens a step',
  heldBackShare: (share: number) => `${Number((share * 100).toPrecision(3))} % held back`,
  stepsLabel: 'What it does',
  logTitle: 'Log',
  logEmpty: 'Nothing has been said yet.',
  logNone: 'This training had nothing to say.',
  versions: (engine: string, onnxruntime: string) =>
    `Engine ${engine} · ONNX Runtime ${onnxruntime}`,
} as const

export const TRAINING_PRESET_TEXTS: Readonly<
  Record<TrainingPreset, { readonly name: string; readonly about: string }>
> = {
  try: {
    name: 'Try',
    about: 'A first look, at one rate: whether it runs, and how the starts begin.',
  },
  short: {
    name: 'Short',
    about: 'Enough to tell starts apart. Each is tried at three rates and goes on with its best.',
  },
  long: {
    name: 'Long',
    about: 'To see where the curves end up; for a night, or for a GPU.',
  },
}

export const SCHEDULE_NAMES: Readonly<Record<ScheduleName, string>> = {
  wsd: 'Warm-up, stable, decay',
  cosine: 'Cosine',
  constant: 'Constant',
}

/** What a schedule does, with its numbers. */
export function describeSchedule(name: ScheduleName, steps: number, warmup: number): string {
  const rise = warmup > 0 ? `rises over ${plural(warmup, 'step', 'steps')}, ` : ''
  const then = {
    wsd: `stays, and falls over the last ${plural(decaySteps(steps), 'step', 'steps')}`,
    cosine: 'falls along half a cosine to zero',
    constant: 'stays',
  }[name]
  const sentence = `${rise}${then}.`
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}`
}

export const UNIT_NAMES: Readonly<Record<AmountUnit, string>> = {
  steps: 'Steps',
  tokens: 'Tokens',
  epochs: 'Epochs',
}

export const TRAINING_TEXTS: Readonly<Record<TrainingField, ParameterText>> = {
  amount: {
    label: 'Length',
    meaning:
      'How long each model is trained: optimiser steps, tokens seen, or times through the texts.',
    why: 'Starts differ most early on; who wins in the end shows only with more steps.',
  },
  context: {
    label: 'Context',
    meaning: 'Tokens of a window: how far back the model looks while it learns.',
    why: 'Longer windows cost memory and time; shorter ones unlearn long texts.',
  },
  batch: {
    label: 'Batch',
    meaning: 'Windows of an optimiser step.',
    why: 'More of them make each step steadier and dearer.',
  },
  order: {
    label: 'Order',
    meaning: 'Windows are shuffled by the seed, or taken as the texts have them.',
    why: 'Sequential repeats what another program did on the same texts.',
  },
  learningRates: {
    label: 'Learning rates',
    meaning:
      'Highest rate of the schedule. Several, with spaces between: each model is tried with each.',
    why: 'Starts want different rates: one for all of them favours one of them.',
  },
  outputRateFactor: {
    label: 'Output rate factor',
    meaning:
      'What the rate of output matrices is multiplied by that are zero at the start (LLaMA Pro).',
    why: 'They have the longest way to go; 10 was best for such starts.',
  },
  schedule: {
    label: 'Schedule',
    meaning: 'How the rate moves from the first step to the last.',
    why: 'With a stable stretch a training can be prolonged; a cosine is made for its length.',
  },
  warmup: {
    label: 'Warm-up',
    meaning: 'Steps over which the rate rises. Empty: a tenth, at most 100.',
    why: 'Longer where the loss jumps at the beginning.',
  },
  weightDecay: {
    label: 'Weight decay',
    meaning: 'How strongly AdamW pulls the new weights to zero.',
    why: 'Rarely; 0.1 is usual in long pre-training.',
  },
  beta1: {
    label: 'β₁',
    meaning: 'Memory of AdamW’s mean gradient.',
    why: 'Rarely.',
  },
  beta2: {
    label: 'β₂',
    meaning: 'Memory of AdamW’s mean squared gradient.',
    why: '0.95 is usual for language models, 0.999 elsewhere.',
  },
  epsilon: {
    label: 'ε',
    meaning: 'Keeps AdamW from dividing by zero.',
    why: 'Rarely.',
  },
  clip: {
    label: 'Clip',
    meaning: 'Longest gradient of all trained weights together; 0 for any length.',
    why: 'Lower where single batches throw the loss up.',
  },
  evalShare: {
    label: 'Share held back',
    meaning: 'Of the texts’ windows, for the evaluation: the last ones, which are not trained on.',
    why: 'More of it makes small differences clear, and leaves less to learn from.',
  },
  evalEvery: {
    label: 'Evaluate every',
    meaning: 'Steps between evaluations. Empty: some twenty in all.',
    why: 'Closer together, crossings are found more exactly; each costs a pass over the evaluation text.',
  },
  saveEvery: {
    label: 'Save every',
    meaning: 'Minutes between the states that are kept, to go on from after a stop.',
    why: 'Less is lost, more is written.',
  },
  seed: {
    label: 'Seed',
    meaning: 'Order of the windows: same seed, settings and device, same bytes out.',
    why: 'To see how much of a result is chance.',
  },
  repeats: {
    label: 'Repeats',
    meaning:
      'How often each model is trained, with one seed after the other; the first one is written.',
    why: 'Two or three show whether a difference is more than chance. Costs that many times as much.',
  },
  train: {
    label: 'Layers',
    meaning: 'Which layers are trained. Empty: the new ones.',
    why: 'Original layers that are trained are not the base’s any more.',
  },
  trainedParts: {
    label: 'Parts',
    meaning: 'Everything in those layers, or their norms alone.',
    why: 'Norms alone are a few thousand numbers: a cheap control.',
  },
  device: {
    label: 'Device',
    meaning: 'Where the heavy arithmetic runs.',
    why: 'To compare devices, or to leave the GPU to something else.',
  },
  textField: {
    label: 'Text field',
    meaning: 'The field of JSON Lines, and the column of Parquet, that holds the text.',
    why: 'Where the texts call it something else.',
  },
}

export const ORDER_NAMES = { shuffled: 'Shuffled', sequential: 'Sequential' } as const
export const PART_NAMES = { all: 'Everything', norms: 'Norms only' } as const
