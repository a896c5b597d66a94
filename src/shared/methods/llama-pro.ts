import { defineMethod } from './define'
import { insertAfter } from './layers'
import { count, gaps, keepPattern } from './options'

const plural = (n: number): string => `${n} ${n === 1 ? 'layer' : 'layers'}`

const groupCount = count({
  label: 'Groups',
  help: 'groups that get a new layer each',
  min: 1,
  max: (layers) => layers,
  maxText: ' groups, one per layer',
  default: (layers) => Math.max(1, Math.floor(layers / 4)),
  defaultText: 'layers / 4',
  unit: ['group', 'groups'],
  hint: (groups, layers, period) => {
    const copy = period > 1 ? `${period} identity copies` : 'An identity copy'
    const [low, high] = [Math.floor(layers / groups), Math.ceil(layers / groups)]
    const size = low === high ? plural(low) : `${low} or ${high} layers`
    return low === 1 && high === 1 ? `${copy} after every layer.` : `${copy} after every ${size}.`
  },
})

/** Block expansion: g groups, an identity copy of each group's last layer after it; or such copies in chosen gaps. */
export const llamaPro = defineMethod({
  name: 'llama-pro',
  title: 'LLaMA Pro',
  source: 'Wu et al., LLaMA Pro, 2024, arXiv 2401.02415',
  group: 'method',
  options: {
    groups: { ...groupCount, excludes: 'gaps' },
    gaps: { ...gaps({ afterLast: true }), excludes: 'groups' },
    keepPattern,
  },
  plan: ({ groups, gaps }, layers, pattern) => {
    if (gaps !== undefined) return { layers: insertAfter(gaps, layers, 'identity', pattern) }
    const count = groups ?? groupCount.default(layers)
    const after = Array.from(
      { length: count },
      (_, group) => Math.floor(((group + 1) * layers) / count) - 1,
    )
    return { layers: insertAfter(after, layers, 'identity', pattern), also: { after } }
  },
  keepsOutput: true,
  yardstick: 'zero',
  short: 'Copies that change nothing at first.',
  long: 'After each group of layers, or in chosen gaps, comes a copy of the layer before that adds nothing, because two matrices of it (or the gains of the norms behind them) are zero: the grown model answers exactly as the base does, until it is trained.',
  note: 'Each new layer is a copy of the one before it that adds nothing, so the model computes what it did before: its output projections are zero, or the gains of the norms behind them',
  drawing: { layout: { groups: 4 } },
})
