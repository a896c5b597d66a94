import { defineMethod } from './define'
import { inOrder, range } from './layers'
import { count } from './options'

/** Depth up-scaling: the first N − m layers, then the last N − m of a second copy. */
export const solar = defineMethod({
  name: 'solar',
  title: 'SOLAR',
  source: 'Kim et al., SOLAR 10.7B, 2023, arXiv 2312.15166',
  group: 'method',
  options: {
    overlap: count({
      label: 'Overlap',
      help: 'layers left out of each copy',
      min: 0,
      // Half the layers and more of each copy left out, and nothing is added.
      max: (layers) => Math.ceil(layers / 2) - 1,
      maxText: ', less than half the layers',
      default: (layers) => Math.floor(layers / 4),
      defaultText: 'layers / 4',
      unit: ['layer', 'layers'],
      hint: (overlap, layers) =>
        overlap === 0
          ? 'Both copies are used whole.'
          : `Without the last ${overlap} of the first copy and the first ${overlap} of the second: 2 × (${layers} − ${overlap}).`,
    }),
  },
  plan: ({ overlap }, layers) => ({
    layers: inOrder([...range(0, layers - overlap), ...range(overlap, layers)]),
  }),
  short: 'Two copies of the model, overlapped.',
  long: 'The model is taken twice; the last layers of the first copy and the first of the second are left out, and the two are joined.',
  note: 'The first layers followed by the last ones of a second copy',
  drawing: { layout: { overlap: 2 }, repeats: 'beneath' },
})
