import type { ExportCheck, ExportCheckId, ExportPreview } from '@shared/exports'
import type { OutputDtype } from '@shared/jobs'
import type { RecipeMachine } from '@shared/recipes'

/** What the Export view says. */
export const EXPORT = {
  emptyTitle: 'Nothing to export yet',
  emptyText:
    'A finished run is written from here to a folder of yours: a Hugging Face checkpoint with its config, tokenizer and model card, read back and checked.',
  toRun: 'Go to Run',
  run: 'Run',
  goneTitle: 'Its grown model was deleted',
  goneText: 'Run it again to export it.',

  destination: 'Where it goes',
  folder: 'In the folder',
  noFolder: 'No folder chosen yet',
  chooseFolder: 'Choose…',
  chooseTitle: 'Choose where to write',
  name: 'Folder name',
  nameError: 'A name without / or \\.',
  out: 'Written to',
  dtype: 'Element type',
  shard: 'Shard size',
  shardHint: 'Such as 5 GB or 500 MB; the tensors are split over files of at most this size.',
  shardError: 'A size such as 5 GB, at least 1 kB.',
  overwrite: 'Replace the checkpoint that is there',
  overwriteNote: (path: string) =>
    `The checkpoint in ${path} is deleted once the new one is complete.`,

  recipes: 'Write training recipes',
  recipesNote:
    'A folder recipes/ with files that train the new layers elsewhere: on one GPU, several, or a cluster.',

  preview: 'What it will be',
  previewing: 'Looking…',
  chooseFirst: 'Choose a folder, and what will be written is shown here.',
  correctFirst: 'Correct what is marked, and what will be written is shown here.',
  allowOverflow: 'Write weights that F16 cannot hold as infinities',
  allowOverflowNote:
    'F16 ends at 65,504. Without this the export is refused when a weight lies beyond, and the tensors are named.',
  nameTooLong: 'A name of at most 180 bytes.',
  needed: (needed: string) =>
    `${needed} have to be free: for the weights, the files beside them, and 64 MB that the file system and others need.`,
  files: 'Files beside the weights',
  noFiles: 'None.',
  leftOut: (count: number) => (count === 1 ? '1 is not copied' : `${count} are not copied`),
  size: 'Size',
  shardsValue: (count: number) => (count === 1 ? '1 file of weights' : `${count} files of weights`),
  free: 'Free space',
  freeUnknown: 'not known',
  freeShare: 'Share of the free space that it takes',
  problems: 'It cannot be written as it stands',
  justWritten:
    'The export below is there. Choose another name or folder for a second one, or replace it.',
  card: 'Model card',
  cardRendered: 'As shown',
  cardSource: 'Source',
  cardLabel: 'Model card',
  start: 'Export',
  startReplace: 'Replace and export',

  progress: 'Export',
  writing: 'Progress of the export',
  queued: 'It starts when the jobs before it have ended.',
  cancel: 'Cancel',
  cancelling: 'Cancelling…',
  cancelled: 'The export was cancelled. Nothing unfinished was left behind.',
  steps: { write: 'Write', verify: 'Read back', forward: 'Forward pass' } as Readonly<
    Record<string, string>
  >,

  checklist: 'Checklist',
  passed: 'The exported model was read back and is what it should be.',
  failed: 'The exported model is not what it should be.',
  done: (path: string) => `Written to ${path}`,
  copyPath: 'Copy the path',
  pathCopied: 'The path is on the clipboard',
  notCopied: 'The system does not let the program use the clipboard',
  reveal: 'Show in file manager',
  history: 'Exports of this run',
  at: 'When',
  checks: 'Checks',
  checksValue: (passed: number, failed: number, skipped: number) =>
    [
      `${passed} passed`,
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...(skipped > 0 ? [`${skipped} not needed`] : []),
    ].join(', '),
  path: 'Folder',
} as const

/** How an exported model is trained elsewhere. */
export const NEXT = {
  title: 'What next',
  note: 'The exported folder holds recipes that train exactly the new layers with programs for large machines. Put your text where the command says, or change the path.',
  tabs: 'Machines',
  machines: {
    one_gpu: 'One GPU',
    several_gpus: 'Several GPUs',
    cluster: 'A cluster',
  } satisfies Readonly<Record<RecipeMachine, string>>,
  where: 'In the folder',
  hints: {
    one_gpu: 'It needs Python with PyTorch and transformers; nothing is downloaded.',
    several_gpus: 'One process for each GPU of this machine; the weights are divided among them.',
    cluster: 'Through Slurm; account, partition and the number of machines stand in the file.',
  } satisfies Readonly<Record<RecipeMachine, string>>,
  copy: 'Copy',
  copied: 'Copied',
  copyLabel: 'Copy the command',
  memory: (gpus: number) => (gpus === 1 ? 'Memory of the GPU' : `Memory of each of ${gpus} GPUs`),
  memoryLabel: 'What the training takes of each GPU’s memory',
  bytes: 'Bytes',
  frozen: 'Frozen weights',
  trained: 'Trained weights and gradients',
  optimizer: 'Optimiser',
  activations: (context: number) =>
    `Activations, a window of ${context.toLocaleString('en')} tokens`,
  total: 'Together',
  files: 'The files, explained in README.md, lie in',
  back: 'When it has been trained, the folder that the training wrote can stand beside its start here:',
} as const

export const CHECK_NAMES: Readonly<Record<ExportCheckId, string>> = {
  reopened: 'Opens as a checkpoint',
  tensors_complete: 'Every tensor is accounted for',
  originals_identical: 'The original layers are bit-identical',
  weights_finite: 'Every weight is a finite number',
  forward_finite: 'One forward pass gives finite results',
  logits_equal_base: 'It computes what the base model computes',
}

export const CHECK_STATES: Readonly<Record<ExportCheck['state'], string>> = {
  passed: 'passed',
  failed: 'failed',
  skipped: 'not needed',
}

export const DTYPE_NAMES: Readonly<Record<OutputDtype, string>> = {
  keep: 'As the run wrote it',
  bf16: 'BF16',
  f16: 'F16',
  f32: 'F32',
}

/** Of an export that was made, perhaps by a newer version. */
export function dtypeName(dtype: string): string {
  const names: Readonly<Record<string, string>> = DTYPE_NAMES
  return names[dtype] ?? dtype
}

export const DESTINATIONS: Readonly<Record<ExportPreview['destination'], string>> = {
  free: 'A new folder.',
  empty_folder: 'An empty folder is there; it is used.',
  checkpoint: 'A checkpoint is there already.',
  other_files:
    'A folder with other files than a checkpoint is there. It is left alone: choose another name or folder.',
  file: 'A file of this name is there; it is left alone.',
}

/** What can be said in the model card. */
export const CARD = {
  title: 'What the card says',
  labels: {
    title: 'Title',
    author: 'Author',
    baseModel: 'Base model on the hub',
    license: 'Licence',
    languages: 'Languages',
  },
  hints: {
    title: '',
    author: 'Your name or organisation; empty to leave it out.',
    baseModel: 'Its id, such as org/name; empty when it has none.',
    license: 'As the hub names it: apache-2.0, mit, other, …',
    languages: 'Codes such as en, de, with commas between.',
  },
  baseModelError: 'An id such as org/name, or nothing.',
  languagesError: 'Language codes such as en, pt or zh-Hant, not names.',
  measurements: 'Measured perplexities that are published',
  measurement: (
    model: string,
    text: string,
    perplexity: string,
    interval: string | null,
    tokens: string,
  ) =>
    `${model} on ${text}: ${perplexity}${interval === null ? '' : ` (95 %: ${interval})`}, ${tokens} tokens`,
  reset: 'Back to what is known of the base model',
} as const
