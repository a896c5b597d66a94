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
  everyGap: 'Every gap',
  everyKth: 'Every k-th gap',
  k: 'k',
  gaps: 'Gaps',
  gapsHint: 'Such as 5-10 or 3,7,7. Named twice, a gap gets two layers.',
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
