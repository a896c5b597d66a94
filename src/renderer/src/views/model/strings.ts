import { NOT_RUN } from '@shared/model'

/** The Model view. */
export const MODEL = {
  tabs: { layers: 'Layers', tensors: 'Tensors', config: 'Config', notes: 'Notes' },
  tabsLabel: 'Parts of the model',
  facts: {
    layers: 'Layers',
    layerTypes: 'Layer types',
    parameters: 'Parameters',
    decoder: 'Text decoder',
    perLayer: 'Per layer',
    width: 'Width',
    mlp: 'MLP width',
    experts: 'Experts',
    active: 'Parameters a token',
    heads: 'Attention heads',
    vocabulary: 'Vocabulary',
    context: 'Context',
    stored: 'Stored as',
    size: 'Size',
    embeddings: 'Embeddings',
    tokenizer: 'Tokenizer',
  },
  tied: 'tied',
  untied: 'not tied',
  headsOf: (query: number, keyValue: number): string =>
    query === keyValue ? String(query) : `${query}, ${keyValue} key/value`,
  files: (count: number): string => (count === 1 ? '1 file' : `${count} files`),
  present: 'present',
  absent: 'none',
  reading: 'Reading the checkpoint…',
  unsupported: 'Not supported',
  unsupportedTitles: {
    unsupported_architecture: 'This architecture cannot be grown here',
    unsupported_dtype: 'Weights of this kind cannot be grown here',
  } as Readonly<Partial<Record<string, string>>>,
  unsupportedTitle: 'This model cannot be grown here',
  unsupportedText: 'It can be looked at all the same.',
  next: 'Plan',
  noTokenizer:
    'There is no tokenizer in this folder: the model can be grown, but its perplexity cannot be measured.',
  notRunTitle: 'This model is grown here, and not run',
  notRun: (missing: string): string =>
    `Its layers have ${missing}, which is not computed: ${NOT_RUN}.`,
  remarks: 'How it was read',
  newProject: 'New project…',
  planGrowth: 'Plan growth with this model',
  planGrowthHint: 'Makes a project in the usual folder and opens its plan',
  reveal: 'Show in file manager',
  noModelTitle: 'The model is not here',
  noModelText: 'Say where it is now: the notice above has the button.',
} as const

export const LAYERS = {
  statistic: 'Statistic',
  statistics: {
    norm: 'Norm',
    meanAbs: 'Mean |w|',
    maxAbs: 'Max |w|',
  },
  titles: {
    norm: 'Frobenius norm of each matrix: ‖W‖',
    meanAbs: 'Mean absolute value of the weights',
    maxAbs: 'Largest absolute value of the weights',
  },
  scale: 'Colours',
  scales: { row: 'Per row', all: 'All rows' },
  scaleTitles: {
    row: 'Each row has its own scale: compare layers of one kind',
    all: 'One scale for all rows: compare kinds of weights',
  },
  lowest: 'lowest of the row',
  highest: 'highest of the row',
  gridLabel: (statistic: string): string =>
    `${statistic} by weight type and layer. Arrow keys move from cell to cell.`,
  layer: (index: number): string => `Layer ${index}`,
  none: 'not in this layer',
  absentTitle: 'The layers have not been measured yet',
  absentText: (size: string): string =>
    `Norms, means and damaged values of every tensor. The whole checkpoint, ${size}, is read once; the result is kept.`,
  compute: 'Measure the layers',
  computing: 'Measuring the layers…',
  waiting: 'Waits for the job before it',
  asking: 'Looking for measurements…',
  retry: 'Measure again',
  damagedTitle: (count: number): string =>
    count === 1
      ? 'One tensor holds NaN or infinite values'
      : `${count} tensors hold NaN or infinite values`,
  damagedMore: (count: number): string => `and ${count} more`,
  nan: 'NaN',
  infinite: 'Inf',
  healthy: 'No NaN or infinite value in any tensor.',
  othersTitle: 'Outside the layers',
  columns: {
    tensor: 'Tensor',
    norm: 'Norm',
    meanAbs: 'Mean |w|',
    maxAbs: 'Max |w|',
    damaged: 'NaN / Inf',
  },
  pick: 'Point at a cell, or use the arrow keys. A click, or Enter, opens its tensor.',
  unsupportedTitle: 'Its layers cannot be measured here',
  unsupportedText:
    'The notice above says why. Tensors, one by one, and the config can be looked at.',
} as const

export const TENSORS = {
  label: 'Tensors of the checkpoint',
  search: 'Find tensors',
  placeholder: 'Find, e.g. 11 q_proj',
  columns: {
    name: 'Name',
    dtype: 'Type',
    shape: 'Shape',
    parameters: 'Parameters',
    bytes: 'Size',
    shard: 'File',
  },
  count: (shown: string, all: string): string => `${shown} of ${all} tensors`,
  all: (all: string): string => `${all} tensors`,
  none: 'No tensor has this in its name',
  noneText: 'Words may come in any order; all of them must be in the name.',
  expandAll: 'Open all',
  collapseAll: 'Close all',
  loading: 'Reading the headers…',
  tensorsIn: (count: string): string => `${count} tensors`,
  details: 'The chosen tensor',
  close: 'Close the tensor',
  reading: 'Reading the tensor…',
  notFloats: (dtype: string): string =>
    `Values of type ${dtype} are not read here; only BF16, F16 and F32 are.`,
  figures: {
    norm: 'Frobenius norm',
    mean: 'Mean',
    deviation: 'Standard deviation',
    min: 'Lowest',
    max: 'Highest',
    zeros: 'Zeros',
    nan: 'NaN',
    infinite: 'Infinite',
  },
  histogram: 'How its values are spread',
  bar: (low: string, high: string, count: string): string => `${low} to ${high}: ${count}`,
  beyond: (count: string): string =>
    count === '1' ? '1 value lies beyond the bars.' : `${count} values lie beyond the bars.`,
} as const

export const NOTES = {
  label: 'Notes on this project, kept in its folder',
  placeholder: 'What is this project about? What was tried, what came of it?',
} as const

export const CONFIG = {
  label: 'config.json',
  view: 'Show as',
  views: { table: 'Table', text: 'Text' },
  search: 'Find a setting',
  copy: 'Copy',
  copied: 'Copied',
  key: 'Setting',
  value: 'Value',
  none: 'No setting has this in its name or value.',
  loading: 'Reading config.json…',
} as const
