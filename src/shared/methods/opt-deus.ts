import { defineMethod, transported } from './define'
import { computeBetween } from './layers'
import { gaps, keepPattern, type FlagOption } from './options'

const asPublished: FlagOption = {
  kind: 'flag',
  label: 'As published',
  help: 'leave the transported rows as small as the published code does: nearly half the next layer (opt-deus)',
  card: 'as_published',
}

/** Transport between neighbours' neurons and heads; which, and how it is computed, `engine/alignment` says. */
export const optDeus = defineMethod({
  name: 'opt-deus',
  title: 'OpT-DeUS',
  source: 'Cao, Wang and Aletras, 2025, arXiv 2508.08011',
  group: 'method',
  options: { gaps: gaps({ afterLast: false }), keepPattern, asPublished },
  minLayers: 2,
  plan: ({ gaps }, layers, pattern) => ({
    layers: computeBetween(gaps, layers, pattern).map((layer) =>
      layer.kind === 'computed' ? { ...layer, isIdentity: true } : layer,
    ),
  }),
  fill: transported,
  keepsOutput: true,
  short: 'Neighbours fused, silent at first.',
  long: 'The layer before a gap is fitted onto the one after it by optimal transport between neurons and heads, and both are averaged; two matrices (or the gains of the norms behind them) are zero, so that the grown model answers as the base does until it is trained.',
  note: 'Each new layer is the mean of its neighbours, the first transported onto the second by optimal transport between neurons and heads, with output projections of zero, or gains of zero in the norms behind them, so the model computes what it did before',
  drawing: { layout: { gaps: [3, 4, 5, 6] }, mark: 'equal' },
})
