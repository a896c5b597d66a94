import type { DescentResult, LayerChange } from '@shared/jobs'

/** A layer whose one weight type moved by a share of its norm; without a share it is as it was. */
export function layerChange(
  layer: number,
  {
    isNew = false,
    relative = 0,
    part = relative,
  }: { readonly isNew?: boolean; readonly relative?: number; readonly part?: number } = {},
): LayerChange {
  const measured = (share: number) => ({
    change: 10 * share,
    norm: 10,
    relative: share,
    max: share,
  })
  return {
    layer,
    is_new: isNew,
    is_changed: relative > 0,
    ...measured(relative),
    parts:
      isNew || relative > 0
        ? [
            { part: 'q_proj', ...measured(0) },
            { part: 'up_proj', ...measured(part) },
          ]
        : [],
  }
}

/** Of a model of four layers, whose second and fourth were trained. */
export function descentResult(changes: Partial<DescentResult> = {}): DescentResult {
  return {
    kind: 'descent',
    trained: '/trained',
    start: '/grown',
    architecture: 'LlamaForCausalLM',
    num_hidden_layers: 4,
    new_layers: [1, 3],
    layers: [
      layerChange(0),
      layerChange(1, { isNew: true, relative: 0.1 }),
      layerChange(2),
      layerChange(3, { isNew: true, relative: 0.2, part: 0.25 }),
    ],
    outside: [],
    identical: 30,
    converted: 0,
    dtypes: { start: ['BF16'], trained: ['BF16'] },
    rounded_to: null,
    non_finite: [],
    warnings: [],
    seconds: 1,
    ...changes,
  }
}
