/** The Model view. */
export const MODEL = {
  tabs: { layers: 'Layers', tensors: 'Tensors', config: 'Config', notes: 'Notes' },
  tabsLabel: 'Parts of the model',
  facts: {
    layers: 'Layers',
    parameters: 'Parameters',
    perLayer: 'Per layer',
    width: 'Width',
    mlp: 'MLP width',
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
  unsupportedTitle: 'This architecture cannot be grown here',
  unsupportedText: 'Its tensors can be looked at, but its layers cannot be predicted or copied.',
  noTokenizer:
    'There is no tokenizer in this folder: the model can be grown, but its perplexity cannot be measured.',
  newProject: 'New project with this model',
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
    share: 'Spectrum share',
  },
  titles: {
    norm: 'Frobenius norm of each matrix: ‖W‖',
    meanAbs: 'Mean absolute value of the weights',
    maxAbs: 'Largest absolute value of the weights',
    share: 'Share of the row’s squared singular values that each layer holds',
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
  pick: 'Point at a cell, or focus the picture and use the arrow keys.',
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
