import { defineMethod } from './define'
import { inOrder, range } from './layers'
import { layerRange } from './options'

export const stack = defineMethod({
  name: 'stack',
  title: 'Stack',
  group: 'method',
  options: {
    repeat: layerRange({
      label: 'Repeated layers',
      help: 'layers to repeat, such as 8-23',
      default: (layers) => [layers - Math.floor(layers / 2), layers - 1],
      defaultText: 'the later half',
    }),
  },
  plan: ({ repeat: [first, last] }, layers) => ({
    layers: inOrder([...range(0, last + 1), ...range(first, layers)]),
  }),
  short: 'A group of layers, twice.',
  long: 'A group of neighbouring layers is repeated as a whole.',
  note: 'A group of layers is repeated',
  drawing: { layout: { repeat: [4, 7] }, repeats: 'bracketed' },
})
