import { defineMethod } from './define'
import { insertAfter } from './layers'
import { gaps, whole } from './options'

/** LLaMA Pro's blocks with output matrices that take one step on a text; which one, `engine/fitting` says. */
export const fitted = defineMethod({
  name: 'fitted',
  title: 'Fitted',
  group: 'method',
  options: {
    gaps: gaps({ afterLast: true }),
    rounds: whole({
      place: 5,
      label: 'Rounds',
      help: 'steps that the new layers take, each on other windows of the text (fitted; default: 1)',
      min: 1,
      max: 16,
      default: 1,
    }),
  },
  plan: ({ gaps }, layers) => ({
    layers: insertAfter(gaps, layers, 'identity').map((layer) =>
      layer.kind === 'identity' ? { ...layer, isFitted: true } : layer,
    ),
  }),
  fitsText: true,
  short: 'Copies that take one step on your text.',
  long: 'Starts as LLaMA Pro does, then sets the two zero matrices of all new layers by one step against the loss on a text of yours. How far is chosen on other parts of the text: where nothing is gained, it stays LLaMA Pro.',
  note: 'Each new layer is a copy of the one before it whose output projections were set by a curvature-preconditioned step against the loss on a calibration text',
  drawing: { layout: { gaps: [3, 4, 5, 6] }, mark: 'curve' },
})
