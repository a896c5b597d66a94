/** What the Compare view says. */
export const COMPARE = {
  verdict: 'What the numbers say',
  verdictNote: (text: string, context: number, tokens: string) =>
    `Measured on ${text}: ${tokens}, windows of ${context}. Differences are paired, token by token on the same windows, with 95 % intervals.`,
  noVerdict:
    'Nothing can be said yet. “Compare all methods at this depth” grows what is missing beside a run, measures everything on one text and says what is better than what.',
  oneMeasured:
    'Measure the base and one grown model on the same text, and this says which is better.',
  missingLosses:
    'Some of these were measured before losses were kept window by window: Measure again to have differences and intervals.',

  emptyTitle: 'Nothing to compare yet',
  emptyText:
    'Runs that have finished stand here beside the base model: their perplexity on your texts, their size, how well their predictors learnt, and what was set differently.',
  loading: 'Comparing…',

  table: 'Runs',
  tableLabel: 'The base model and the finished runs',
  chooseAll: 'Choose all',
  choose: (name: string) => `Choose ${name}`,
  chosen: (count: number, all: number) => `${count} of ${all} chosen`,
  base: 'Base model',
  columns: {
    name: 'Model',
    method: 'Method',
    layers: 'Layers',
    newLayers: 'New',
    parameters: 'Parameters',
    bytes: 'Size',
    seconds: 'Time',
    device: 'Device',
    errorOverZero: 'Training error (1: predicting zero)',
    errorOverMean: 'Training error (1: neighbours’ mean)',
    heldOutOverZero: 'Held-out error (1: predicting zero)',
    heldOutOverMean: 'Held-out error (1: neighbours’ mean)',
    heldOutCosine: 'Held-out cosine',
  },
  /** Of columns in files, with their units. */
  saved: {
    seconds: 'Time (s)',
    bytes: 'Size (bytes)',
    low: 'low end (95 %)',
    high: 'high end (95 %)',
    tokens: 'tokens',
    difference: 'difference to the base (nats per token)',
    sameToken: 'same most likely token (share)',
  },
  /** Of a model less the base. */
  difference: 'Δ against the base (nats, 95 %)',
  outcomes: { lower: 'better', higher: 'worse', not_distinguishable: 'not distinguishable' },
  divergence: 'Moved from the base (KL, nats)',
  sameToken: (percent: string) => `same top token: ${percent} %`,
  noLosses: 'measure again to know',
  perplexity: (text: string, context: number, perLine: boolean) =>
    `Perplexity, ${text} (windows of ${context}${perLine ? ', per line' : ''})`,
  tokens: (count: number) => `${count.toLocaleString('en')} ${count === 1 ? 'token' : 'tokens'}`,
  tooFew: (count: number) => `only ${count === 1 ? '1 token' : `${count} tokens`}`,
  common: 'The same for all runs',
  errorNote:
    'Errors are geometric means over the weight types, as multiples of what predicting zero, or the mean of the two neighbours, would have; below 1 is better. Held-out: on the layers that were kept out of training; training errors can be low by recall alone.',
  intervalNote:
    'Beneath each perplexity: its 95 % interval. A mark stands only at what is clearly lower than all others, and better than guessing.',
  depthNote: (depths: readonly number[]) =>
    `The grown models have different depths (${depths.join(', ')} layers): part of a difference may be the depth, not the method.`,
  fewTokens: (tokens: number, text: string) =>
    `“${text}” has only ${tokens === 1 ? '1 token' : `${tokens.toLocaleString('en')} tokens`}: differences on so little text are chance. Measure on some thousand tokens.`,
  chance: (vocabulary: number) =>
    `At least one of these models is no better than guessing among all ${vocabulary.toLocaleString('en')} tokens: such a perplexity says that it is broken, or that the text is not its language.`,
  unknownInterval: 'Measured before intervals were kept: Measure again on this text to have them.',
  interval: (ends: string) => `95 %: ${ends}`,
  sortBy: (label: string) => `Sort by ${label}`,
  best: 'best',
  notMeasured: 'not measured',
  beyond: 'beyond any number',

  csv: 'CSV',
  csvLabel: 'Save the comparison as CSV',
  markdown: 'Markdown',
  markdownLabel: 'Save the comparison as Markdown',
  copy: 'Copy',
  copyLabel: 'Copy the comparison as Markdown',
  copied: 'The comparison is on the clipboard',
  notCopied: 'The system does not let the program use the clipboard',

  measure: 'Measure perplexity',
  measureNote:
    'How surprised a model is by a text it reads, per token: lower is better. Models with other tokenizers cannot be compared by it.',
  fittedTo: (names: readonly string[]) =>
    `${new Intl.ListFormat('en').format(names)} ${names.length === 1 ? 'was' : 'were'} fitted to this text: a low perplexity on it is no sign that the model is better. Measure on another text of the same kind.`,
  text: 'Text',
  addText: 'Add texts…',
  removeText: 'Remove this text',
  removeTitle: 'Remove the text?',
  removeQuestion: (name: string) =>
    `“${name}” is removed from the project, with the perplexities that were measured on it. The file that it was copied from stays.`,
  removeIt: (name: string) => `Remove “${name}”`,
  noTexts: 'Add a plain text file to measure on. It is copied into the project.',
  missing: '(missing)',
  context: 'Tokens per window',
  contextHint: 'Empty for the model’s own, at most 2048.',
  noTokenizer:
    'The folder of the base model has no tokenizer: perplexity cannot be measured. Put tokenizer.json beside its weights.',
  contextError: 'A whole number from 2 to 1,048,576.',
  perLine: 'Mean of each line’s perplexity, as in the authors’ notebook',
  device: 'Device',
  start: (count: number) => (count === 1 ? 'Measure 1 model' : `Measure ${count} models`),
  nothingChosen: 'Choose models in the table.',
  measuring: 'Measuring',
  queued: 'Waiting for its turn',
  cancel: 'Cancel',
  cancelling: 'Cancelling…',
  failed: 'The last measurement failed',

  chart: 'Perplexity',
  chartLabel: (text: string) => `Perplexity of the chosen models on ${text}; lower is better`,
  measurement: 'Measurement',
  lower: 'Perplexity (lower is better)',
  noMeasurements: 'Nothing has been measured yet',
  noMeasurementsText: 'Choose models and a text, and press Measure.',
  noneOfChosen: 'None of the chosen models has been measured so.',

  settings: 'Settings',
  settingsLabel: 'Settings of the chosen runs',
  onlyDifferences: 'Only what differs',
  setting: 'Setting',
  differs: 'differs',
  noDifferences: 'The chosen runs have the same settings.',
  noRuns: 'Choose runs in the table.',
} as const

/** The dialog that adds texts. */
export const ADD_TEXTS = {
  title: 'Add texts',
  note: 'Plain text in UTF-8, some thousand tokens or more, which the model has not been trained on. It is copied into the project.',
  files: 'Choose files…',
  there: 'Choose on the server…',
  thereTitle: 'Choose a text file',
  paste: 'Or paste a text',
  placeholder: 'The text itself',
  name: 'Its name',
  pastedName: 'pasted.txt',
  known: (name: string, known: string) =>
    name === known
      ? `“${known}” is in the project already, with the same content.`
      : `“${name}” has the same content as “${known}”, which is in the project already and keeps its name.`,
  add: 'Add the pasted text',
} as const
