import { defineMethod } from './define'
import { insertAfter } from './layers'
import { count } from './options'

const plural = (n: number): string => `${n} ${n === 1 ? 'layer' : 'layers'}`

/** Block expansion: g groups, an identity copy of each group's last layer after it. */
export const llamaPro = defineMethod({
  name: 'llama-pro',
  title: 'LLaMA Pro',
  source: 'Wu et al., LLaMA Pro, 2024, arXiv 2401.02415',
  group: 'method',
  options: {
    groups: count({
      label: 'Groups',
      help: 'groups that get a new layer each',
      min: 1,
      max: (layers) => layers,
      maxText: ' groups, one per layer',
      default: (layers) => Math.max(1, Math.floor(layers / 4)),
      defaultText: 'layers / 4',
      unit: ['group', 'groups'],
      hint: (groups, layers) => {
        const [low, high] = [Math.floor(layers / groups), Math.ceil(layers / groups)]
        const size = low === high ? plural(low) : `${low} or ${high} layers`
        return low === 1 && high === 1
          ? 'An identity copy after every layer.'
          : `An identity copy after every ${size}.`
      },
    }),
  },
  plan: ({ groups }, layers) => {
    const after = Array.from(
      { length: groups },
      (_, group) => Math.floor(((group + 1) * layers) / groups) - 1,
    )
    return { layers: insertAfter(after, layers, 'identity'), also: { after } }
  },
  keepsOutput: true,
  yardstick: 'zero',
  short: 'Copies that change nothing at first.',
  long: 'After each group of layers comes a copy of its last one with two matrices set to zero: the grown model answers exactly as the base does, until it is trained.',
  note: 'Each new layer is a copy of the one before it whose output projections are zero, so the model computes what it did before',
  drawing: { layout: { groups: 4 } },
})
