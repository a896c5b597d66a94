import type { Method } from '@shared/methods'
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
  nextCopy: 'To the run',
  base: 'Base model',
  grown: 'Grown model',
  defaults: 'As the method’s authors do',
  unsupported: 'This architecture cannot be grown here',
  unsupportedText: 'Layers of its kind cannot be predicted or copied.',
  noModel: 'The model is not here',
  noModelText: 'Say where it is now: the notice above has the button.',
  saveFailed: 'The plan could not be saved',
  beyondThree: 'More than three times the depth: LESA’s authors saw no gain beyond that.',
} as const

export const METHOD_TEXTS: Readonly<
  Record<Method, { readonly short: string; readonly long: string }>
> = {
  lesa: {
    short: 'Learns what lies between two layers, and predicts it.',
    long: 'For each kind of weight, a small network learns from the layers that are there what lies between two of them. New layers are its predictions.',
  },
  'llama-pro': {
    short: 'Copies that change nothing at first.',
    long: 'After each group of layers comes a copy of its last one with two matrices set to zero: the grown model answers exactly as the base does, until it is trained.',
  },
  solar: {
    short: 'Two copies of the model, overlapped.',
    long: 'The model is taken twice; the last layers of the first copy and the first of the second are left out, and the two are joined.',
  },
  interpolation: {
    short: 'Each chosen layer, twice.',
    long: 'After a chosen layer comes a plain copy of it.',
  },
  stack: {
    short: 'A group of layers, twice.',
    long: 'A group of neighbouring layers is repeated as a whole.',
  },
  'neighbour-mean': {
    short: 'The average of two neighbours.',
    long: 'The yardstick for every prediction: if LESA is no better than this average, it has learned nothing that matters.',
  },
  noise: {
    short: 'Random weights as large as LESA’s.',
    long: 'A control: the layers LESA would predict, with their values replaced by noise of the same norm. What is as good as this owes nothing to the prediction.',
  },
}

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
  inGap: (where: string): string => `New layers ${where}`,
  more: 'One more',
  fewer: 'One fewer',
  presets: 'Presets',
  laterHalf: 'Later half, 1.5×',
  everyGap: 'Every gap',
  everyKth: 'Every k-th gap',
  k: 'k',
  gaps: 'Gaps',
  gapsHint: 'Such as 5-10 or 3,7,7. Named twice, a gap gets two layers.',
  badGaps: 'Give gaps such as 5-10 or 3,7,7.',
  outside: (last: number): string => `Gaps go from 0 to ${last}.`,
  tooMany: 'At most 10,000 new layers.',
  oneStays: 'One new layer has to stay.',
  groups: 'Groups',
  groupsHint: (size: string): string => `An identity copy after every ${size}.`,
  groupSize: (low: number, high: number): string =>
    low === high ? `${low} ${plural(low, 'layer', 'layers')}` : `${low} or ${high} layers`,
  groupsText: (count: number): string => `${count} ${plural(count, 'group', 'groups')}`,
  overlap: 'Overlap',
  overlapHint: (overlap: number, layers: number): string =>
    overlap === 0
      ? 'Both copies are used whole.'
      : `Without the last ${overlap} of the first copy and the first ${overlap} of the second: 2 × (${layers} − ${overlap}).`,
  overlapText: (count: number): string => `${count} ${plural(count, 'layer', 'layers')}`,
  first: 'First layer',
  last: 'Last layer',
  repeatHint: 'Click a layer to begin the group, Shift-click to end it.',
  repeatLabel: 'Layers to repeat',
  repeatOption: (layer: number, isIn: boolean): string =>
    `Layer ${layer}${isIn ? ', in the repeated group' : ''}`,
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
  describe: (layer: PlannedLayer, index: number): string => {
    switch (layer.kind) {
      case 'original':
        return `Layer ${index}: layer ${layer.source} of the base model`
      case 'computed':
        return `Layer ${index} (${layer.label}): new, from its neighbours, between base layers ${layer.gap} and ${layer.gap + 1}`
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
  newLayers: 'New layers',
  parameters: 'Parameters',
  size: 'Size on disk',
  before: 'Base',
  after: 'Grown',
  change: 'Change',
  config: 'config.json',
  configLabel: 'Entries of config.json that change',
  setting: 'Setting',
  absent: 'absent',
  noChange: 'Nothing else changes.',
  asking: 'Working it out…',
} as const
