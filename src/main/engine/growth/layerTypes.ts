/** @file What is to be said of new layers in models whose layers are not all of one type. */
import { fewOf } from '@shared/text'
import type { ExpansionPlan } from '@shared/plan'
import type { ModelConfig } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'

/** How a layer attends, and whether it turns queries and keys by their positions: layers of one type are computed alike. */
function typeOf({ windows, layerRopes }: ModelConfig, layer: number): string {
  const window = windows[layer] ?? null
  const reach = window === null ? 'full attention' : `a window of ${window} tokens`
  return layerRopes[layer] === 'none' ? `${reach}, no positions` : reach
}

/** A warning for new layers between two of unequal type, and one for a pattern of types that is no longer regular. */
export function typeWarnings(
  { layers }: Pick<ExpansionPlan, 'layers'>,
  { config }: Pick<Checkpoint, 'config'>,
): string[] {
  const types = config.windows.map((_, layer) => typeOf(config, layer))
  if (new Set(types).size < 2) return []
  const between = layers.flatMap((layer, index) =>
    layer.kind === 'computed' && types[layer.gap] !== types[layer.gap + 1]
      ? [`${index} (${types[layer.source] ?? ''})`]
      : [],
  )
  const period = types.findIndex((_, p) => p > 0 && types.every((type, i) => type === types[i % p]))
  const isOff = layers.some(({ source }, index) => types[source] !== types[index % period])
  return [
    ...(between.length > 0
      ? [
          `New layers between two of unequal type attend as the one before them does: layer ${fewOf(between)}. What both layers say of it may suit neither.`,
        ]
      : []),
    ...(period > 0 && isOff
      ? [
          `The layers’ types no longer repeat every ${period} layers. config.json lists them, and transformers goes by the list; llama.cpp derives them from the period for some families and would compute another model.`,
        ]
      : []),
  ]
}
