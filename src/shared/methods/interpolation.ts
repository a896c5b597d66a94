import { defineMethod } from './define'
import { insertAfter } from './layers'
import { gaps, keepPattern } from './options'

export const interpolation = defineMethod({
  name: 'interpolation',
  title: 'Interpolation',
  group: 'method',
  options: { gaps: gaps({ afterLast: true }), keepPattern },
  plan: ({ gaps }, layers, pattern) => ({ layers: insertAfter(gaps, layers, 'copy', pattern) }),
  short: 'Each chosen layer, twice.',
  long: 'After a chosen layer comes a plain copy of it.',
  note: 'Each new layer is a copy of the one before it',
  drawing: { layout: { gaps: [3, 4, 5, 6] } },
})
