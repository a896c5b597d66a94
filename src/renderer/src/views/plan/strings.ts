import type { PlannedLayer } from '@shared/plan'

const plural = (count: number, one: string, many: string): string => (count === 1 ? one : many)

/** The Plan view. */
export const PLAN = {
  methods: 'Method',
  controls: 'Yardsticks and controls',
  title: (before: number, after: number): string => `${before} → ${after} layers`,
  factor: (factor: string): string => `${factor}×`,
  undo: 'Undo',
  redo: 'Redo',
  next: 'Parameters',
  base: 'Base model',
  grown: 'Grown model',
  refused: 'Not for this model.',
  unsupported: 'This architecture cannot be grown here',
  unsupportedText: 'Layers of its kind cannot be predicted or copied.',
  noModel: 'The model is not here',
  noModelText: 'Say where it is now: the notice above has the button.',
  beyondThree: 'More than three times the depth: LESA’s authors saw no gain beyond that.',
} as const

export const EDITOR = {
  label: 'Gaps between the layers',
  hint: 'Click a gap to insert a layer, again for one more. Shift-click fills a range, Alt-click takes one out.',
  keys: 'Arrow keys move, Enter inserts, Backspace takes out, Shift+arrows fill, digits set.',
  gap: (left: number, right: number | null): string =>
    right === null ? `after layer ${left}` : `between layers ${left} and ${right}`,
  option: (left: number, right: number | null, count: number): string =>
    `${right === null ? `After layer ${left}` : `Between layers ${left} and ${right}`}: ${
      count === 0 ? 'nothing new' : `${count} new ${plural(count, 'layer', 'layers')}`
    }`,
  ways: 'How the new layers are placed',
  inGap: (where: string): string => `New layers ${where}`,
  more: 'One more',
  fewer: 'One fewer',
  presets: 'Presets',
  laterHalf: 'Later half, 1.5×',
  laterPeriods: 'Later half',
  everyGap: 'Every gap',
  everyKth: 'Every k-th gap',
  k: 'k',
  gaps: 'Gaps',
  gapsHint: (period: number): string =>
    `Such as 5-10 or 3,7,7. Named twice, a gap gets ${period > 1 ? 2 * period : 'two'} layers.`,
  badGaps: 'Give gaps such as 5-10 or 3,7,7.',
  outside: (last: number): string => `Gaps go from 0 to ${last}.`,
  tooMany: 'At most 10,000 new layers.',
  oneStays: 'One new layer has to stay.',
  countText: (count: number, [one, many]: readonly [string, string]): string =>
    `${count} ${plural(count, one, many)}`,
  first: 'First layer',
  last: 'Last layer',
  rangeHint: 'Click a layer to begin the group, Shift-click to end it.',
  rangeOption: (layer: number, isIn: boolean): string =>
    `Layer ${layer}${isIn ? ', in the group' : ''}`,
  keepPattern: 'Keep the pattern of types',
  keepPatternHint: (period: number): string =>
    `The layers’ types repeat every ${period} layers. So that they go on doing so, a gap gets ${period} new layers, one of each place in the pattern. llama.cpp needs that of some families.`,
  periodHint: (period: number): string =>
    `Click a gap to insert ${period} layers, again for ${period} more. Shift-click fills a range, Alt-click takes them out.`,
  closed: (left: number, period: number): string =>
    period > 1
      ? `After layer ${left}: no whole period of ${period} layers lies on both sides`
      : `After layer ${left}: of no type is there a layer on both sides`,
  notPossible: (gaps: string, period: number): string =>
    `${period > 1 ? `With whole periods of ${period} layers` : 'Between layers of these types'}, gaps can be ${gaps || 'none'}.`,
  isDefault: 'default',
  reset: 'Back to the default',
} as const

export const STACK = {
  label: 'Layers of the grown model',
  kinds: {
    original: 'original',
    computed: 'new: computed',
    copy: 'new: copy',
    identity: 'new: identity copy',
  },
  describe: (layer: PlannedLayer, index: number, type: string | undefined): string => {
    const what = STACK.what(layer, index)
    return type === undefined ? what : `${what}; ${type}`
  },
  what: (layer: PlannedLayer, index: number): string => {
    switch (layer.kind) {
      case 'original':
        return `Layer ${index}: layer ${layer.source} of the base model`
      case 'computed':
        return `Layer ${index} (${layer.label}): new, from base layers ${layer.sides[0]} and ${layer.sides[1]}, between ${layer.gap} and ${layer.gap + 1}`
      case 'copy':
        return `Layer ${index} (${layer.label}): new, a copy of base layer ${layer.source}`
      case 'identity':
        return `Layer ${index} (${layer.label}): new, a copy of base layer ${layer.source} that passes its input on`
    }
  },
  pick: 'Point at a layer to see what it is.',
} as const

export const OUTCOME = {
  title: 'What becomes of the model',
  depth: 'Depth',
  parameters: 'Parameters',
  size: 'Size on disk',
  before: 'Base',
  after: 'Grown',
  change: 'Change',
  config: 'config.json',
  configLabel: 'Entries of config.json that change',
  absent: 'absent',
  noChange: 'Nothing else changes.',
  asking: 'Working it out…',
} as const

export const PLACES = {
  title: 'Places',
  presets: 'Places for the new layers',
  notMeasured: 'Measure the places first.',
  nothingHelps: 'No fitted block lowers the loss on this text: there is nothing to choose by.',
  text: 'Text',
  textHint: 'Of the kind that the grown model is to learn.',
  noTexts: 'Add a text in Compare first.',
  noTokenizer: 'The model has no tokenizer, so no text can be measured.',
  blocks: 'Run twice',
  blocksHint: 'The map of repeated blocks.',
  upTo: (length: number): string =>
    length === 1 ? 'single layers' : `blocks of up to ${length} layers`,
  measure: 'Measure places',
  again: 'Measure again',
  measuring: 'Measuring places',
  cancel: 'Cancel',
  measured: (text: string, tokens: number, loss: number): string =>
    `Measured on ${text}: ${loss.toFixed(4)} nats a token over ${tokens} tokens that nothing was fitted to. Losses are differences to that.`,
  scores: 'Scores of layers and gaps',
  scoresHint:
    'Colours are ranks within a row. Point at a cell to read it; click one to put a layer after that number.',
  repeats: 'Blocks run twice: change of the loss',
  repeatsHint: 'Point at a cell to read it. Columns are the first layer of the block.',
  low: 'low',
  high: 'high',
  noValue: 'no number',
  gap: (gap: number): string => `After layer ${gap}`,
  layer: (layer: number): string => `Layer ${layer}`,
  block: (first: number, last: number): string =>
    first === last ? `Layer ${first} twice` : `Layers ${first}–${last} twice`,
  length: (length: number): string => (length === 1 ? '1 layer' : `${length} layers`),
  change: (value: number, interval: { readonly low: number; readonly high: number } | null) =>
    `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(4)} nats${
      interval ? ` (95 %: ${interval.low.toFixed(4)} to ${interval.high.toFixed(4)})` : ''
    }`,
  rows: {
    fit: 'one fitted block',
    slope: 'slope ‖g‖',
    copy: 'gradient: copy',
    mean: 'gradient: mean',
    cosine: 'cosine of weights',
    cka: 'CKA of outputs',
    skip: 'layer left out',
    repeat: 'layer twice',
    influence: 'block influence',
    update: 'relative update',
  },
} as const
