import { defineMethod, noiseLike, predicted } from './define'
import { computeBetween } from './layers'
import { learnedOptions, MIN_LAYERS } from './learned'

/** What is as good as this owes nothing to the prediction: the same plan and training, the predictions' sizes alone. */
export const noise = defineMethod({
  name: 'noise',
  title: 'Noise control',
  group: 'control',
  options: learnedOptions,
  minLayers: MIN_LAYERS,
  plan: ({ gaps }, layers, pattern) => ({ layers: computeBetween(gaps, layers, pattern) }),
  fill: noiseLike(predicted),
  yardstick: 'noise',
  short: 'Random weights as large as LESA’s.',
  long: 'A control: the layers LESA would predict, with their values replaced by noise of the same norm. What is as good as this owes nothing to the prediction.',
  note: 'A control, not a method: each new matrix is Gaussian noise with the Frobenius norm of the LESA prediction for the same place',
  drawing: { layout: { gaps: [3, 4, 5, 6] }, mark: 'dots' },
})
