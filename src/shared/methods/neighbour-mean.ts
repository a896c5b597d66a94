import { blend, defineMethod, weightedMean } from './define'
import { computeBetween } from './layers'
import { MIN_LAYERS } from './learned'
import { gaps, keepPattern } from './options'

export const neighbourMean = defineMethod({
  name: 'neighbour-mean',
  title: 'Neighbour mean',
  group: 'control',
  options: { gaps: gaps({ afterLast: false }), keepPattern },
  minLayers: MIN_LAYERS,
  plan: ({ gaps }, layers, pattern) => ({ layers: computeBetween(gaps, layers, pattern) }),
  fill: blend(weightedMean),
  yardstick: 'mean',
  short: 'The average of two neighbours.',
  long: 'The yardstick for every prediction: if LESA is no better than this average, it has learned nothing that matters.',
  note: 'Each new layer is the mean of its two neighbours',
  drawing: { layout: { gaps: [3, 4, 5, 6] }, mark: 'equal' },
})
