import { defineMethod, predicted } from './define'
import { computeBetween } from './layers'
import { learnedOptions, MIN_LAYERS } from './learned'

export const lesa = defineMethod({
  name: 'lesa',
  title: 'LESA',
  source: 'Yang et al., LESA, ACL 2025, arXiv 2502.13794',
  group: 'method',
  options: learnedOptions,
  minLayers: MIN_LAYERS,
  plan: ({ gaps }, layers, pattern) => ({ layers: computeBetween(gaps, layers, pattern) }),
  fill: predicted,
  short: 'Learns what lies between two layers, and predicts it.',
  long: 'For each kind of weight, a small network learns from the layers that are there what lies between two of them. New layers are its predictions.',
  note: 'Each new matrix is predicted from the singular coordinates of its neighbours',
  drawing: { layout: { gaps: [3, 4, 5, 6] }, mark: 'curve' },
})
