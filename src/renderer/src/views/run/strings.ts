import type { JobState } from '@shared/jobs'
import type { EstimateRefusal } from '@shared/estimate'
import { formatBytes } from '@shared/units'
import { describeLayers } from '../../lib/gaps'

/** What the Run view says. */
export const RUN = {
  title: 'Run',
  runs: 'Runs',
  newRun: 'New run',
  noRuns: 'No run yet',
  queue: 'Queue',
  moveUp: (name: string) => `Run ${name} earlier`,
  moveDown: (name: string) => `Run ${name} later`,
  removeFromQueue: (name: string) => `Take ${name} out of the queue`,

  prepare: 'What will run',
  changePlan: 'Change the plan',
  changeParameters: 'Change parameters',
  method: 'Method',
  depth: 'Depth',
  depthValue: (before: number, after: number) => `${before} → ${after} layers`,
  newLayers: 'New layers',
  newLayersValue: (layers: readonly number[]) => describeLayers(layers),
  preset: 'Preset',
  changed: 'Changed from the defaults',
  changedUsual: (usual: string) => `instead of ${usual}`,
  unchanged: 'Everything else is as the defaults are.',
  parameters: 'Parameters',
  size: 'Size on disk',
  device: 'Device',
  seed: 'Seed',
  training: 'Training',
  trainingValue: (steps: string) => `${steps} mini-batches per weight type`,
  trainingEpochs: (epochs: string) => `${epochs} epochs per weight type`,
  few: (steps: string) => `Predictors train for ${steps} mini-batches: that is short`,
  fewSteps:
    'Whether more would help shows only on a layer that is kept out of training: its error can grow while the training error falls.',
  useMatched: 'Train as long as the paper did',
  holdOut: (layer: number) => `Hold out layer ${layer}`,
  name: 'Name',
  nameHint: 'Optional. How the run is called in lists and tables.',

  estimate: 'What it will cost',
  estimating: 'Estimating…',
  estimateAgain: 'Estimate again',
  time: 'Time',
  memory: 'Main memory',
  memoryOf: (bytes: string) => `at its peak, of ${bytes} free`,
  memoryOfLimit: (bytes: string) => `at its peak, of the ${bytes} limit`,
  deviceMemory: 'Device memory',
  onDevice: (device: string) => `on ${device}`,
  disk: 'Disk',
  diskOf: (bytes: string) => `at its peak, of ${bytes} free`,
  diskUnknown: 'at its peak; the free space is not known',
  shareOf: (what: string) => `${what}: share of what is free`,
  breakdown: 'Breakdown',
  breakdownTime: 'Time by stage',
  breakdownMemory: 'Main memory at its peak',
  breakdownDisk: 'Disk',
  estimateNote: 'From the model’s shapes and this machine’s measured speed.',
  run: 'Run',
  addToQueue: 'Add to queue',
  runAnyway: 'Run anyway',
  refused: {
    memory_limit: ({ bytes }: EstimateRefusal) =>
      `The memory limit is too low for this model: it takes at least ${formatBytes(bytes)}.`,
    other_process: ({ bytes }: EstimateRefusal) =>
      `It takes ${formatBytes(bytes)} of memory in a way that the desktop program cannot provide, however much there is. The command lesa serve opens the same workbench in a browser, where it can.`,
    disk: ({ bytes }: EstimateRefusal) =>
      `The grown model needs ${formatBytes(bytes)} of disk where the project lies. Free some space, or plan fewer new layers.`,
  },
  changeLimit: 'Change the limit in Settings',
  command: 'On the command line',
  commandHint: 'The same run as one command. It writes where --out says.',
  copyCommand: 'Copy the command',
  copied: 'Copied',
  runsAfter: (count: number) =>
    count === 1 ? 'It starts when the job before it has ended.' : `It starts after ${count} jobs.`,
  cannotRun: 'The plan cannot be run as it stands.',

  cancel: 'Cancel',
  cancelling: 'Cancelling…',
  resume: 'Resume',
  retry: 'Run again',
  tryAgain: 'Try again',
  more: 'More actions',
  rename: 'Rename…',
  deleteRun: 'Delete run…',
  deleteModel: 'Delete grown model…',
  reveal: 'Show in file manager',
  folder: 'Folder',
  copyPath: 'Copy the folder’s path',
  pathCopied: 'The folder’s path is copied',
  renameTitle: 'Rename the run',
  deleteRunTitle: 'Delete the run?',
  deleteRunText: (name: string, id: string) =>
    `“${name}” (${id}) is deleted for good, with everything in its folder: its numbers, its log, its predictors and its grown model. Exports elsewhere stay.`,
  deleteModelTitle: 'Delete the grown model?',
  deleteModelText: (path: string, size: string) =>
    `The checkpoint in ${path} is deleted for good, which frees ${size}. The run’s numbers and predictors stay; to export it again, it has to be run again.`,
  deleted: (name: string) => `“${name}” is deleted`,
  deleteIt: (name: string) => `Delete “${name}”`,
  deleteModelIt: 'Delete the grown model',

  progress: 'Progress of the run',
  percent: (share: number) => `${Math.floor(share * 100)} %`,
  elapsed: (time: string) => `${time} elapsed`,
  after: (time: string) => `After ${time}`,
  left: (time: string) => `about ${time} left`,
  rate: (steps: string) => `${steps} steps/s`,
  waiting: 'It starts when the jobs before it have ended.',
  cancelledNote:
    'The run was cancelled. No unfinished model was left behind; what was computed is kept, so that it can go on.',
  cancelledNothing: 'The run was cancelled. Nothing unfinished was left behind.',
  interruptedNote: 'The program ended while this run was open.',
  resumeHint: 'Resume goes on from the stages that were finished.',
  failedKept:
    'The stages that were finished are kept: Resume goes on from them once the cause is gone.',

  pipeline: 'Pipeline',
  weightType: 'Weight type',
  stages: { decompose: 'Decompose', train: 'Train', predict: 'Predict' },
  otherStages: { write: 'Write the checkpoint', analyse: 'Analyse', analysis: 'Analyse' },
  instant: '< 0.1 s',
  kept: 'kept',
  keptNote: 'Dashed: taken from what an earlier run had computed, with the time it took then.',
  keptTitle: 'Taken from what an earlier run had computed, with the time it took then.',
  cell: {
    waiting: 'waiting',
    active: 'running',
    done: 'done',
    stopped: 'stopped',
    skipped: 'not done',
  },

  loss: 'Training loss',
  lossNote:
    'Lines are smoothed as TensorBoard does (a debiased exponential moving average); the faint lines behind are what was measured.',
  lossNoteRaw: 'As measured: the mean of each stretch of mini-batches.',
  lossPer: 'Loss per',
  perStep: 'Step',
  perEpoch: 'Epoch',
  smoothing: 'Smoothing',
  axis: 'Loss axis',
  log: 'Log',
  linear: 'Linear',
  step: 'Step',
  epoch: 'Epoch',
  lossValue: 'Loss',
  noLossRecorded: 'This run ended before a predictor was trained: there is no loss to show.',
  noLoss: 'No loss yet: the first predictor trains once its weight type is decomposed.',
  noneShown: 'All weight types are hidden. Choose some above.',
  lossLabel: (types: readonly string[]) => `Training loss of ${types.join(', ')}`,
  first: 'First',
  lowest: 'Lowest',
  last: 'Last',
  points: 'Points',
  series: 'Weight type',
  keys: 'Left and right arrow keys read the values. Drag to zoom in, double-click to see everything.',

  heldOut: 'Held-out loss',
  heldOutTitle: (layer: number) => `Held-out loss: layer ${layer}`,
  heldOutRunning:
    'The layer that is kept out of training is predicted once all predictors are trained.',
  heldOutNone:
    'No layer was kept out of training, so nothing says how well an unseen layer would be predicted. Choose one under Parameters, Advanced, and run again.',

  logTitle: 'Log',
  logEmpty: 'Nothing has been said yet.',
  logNone: 'This run had nothing to say.',
  warning: 'Warning',

  result: 'Result',
  resultText: (before: number, after: number, seconds: string) =>
    `The model grew from ${before} to ${after} layers in ${seconds}.`,
  warnings: 'What to know about it',
  next: 'What next',
  seeLayers: 'Look at the layers',
  seeLayersText: (isPredicted: boolean) =>
    isPredicted
      ? 'Where the new layers lie between their neighbours, and how far the prediction can be trusted.'
      : 'How large the new layers are, and how much they resemble their neighbours.',
  seeCompare: 'Measure and compare',
  seeCompareText: 'Perplexity of the grown model beside the base and other runs.',
  seeExport: 'Export',
  seeExportText: 'Write it to a folder of yours and have it checked.',
  modelGone: 'The grown model was deleted. Run again makes it anew, as a new run.',
  otherModel: 'This run was made from another base model than the project has now.',
  versions: (engine: string, onnxruntime: string) =>
    `Engine ${engine} · ONNX Runtime ${onnxruntime}`,
  notFound: 'This run is not in the project any more.',
  noModelTitle: 'The base model is not there',
  noModelText: 'Say where it is now: the notice above has the button. Then runs can be started.',
  loading: 'Loading the run…',
} as const

export const STATE_TONES: Readonly<
  Record<JobState, 'neutral' | 'accent' | 'success' | 'warning' | 'danger'>
> = {
  queued: 'neutral',
  running: 'accent',
  cancelling: 'warning',
  succeeded: 'success',
  failed: 'danger',
  cancelled: 'neutral',
  interrupted: 'warning',
}

export const STATE_ICONS = {
  queued: 'wait',
  running: 'play',
  cancelling: 'wait',
  succeeded: 'check',
  failed: 'error',
  cancelled: 'stop',
  interrupted: 'warning',
} as const
