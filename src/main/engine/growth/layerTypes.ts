/** @file What is to be said of new layers in models whose layers are not all of one type. */
import { fewOf } from '@shared/text'
import type { ExpansionPlan } from '@shared/plan'
import { layerTypesOf } from '../architectures/layerTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'

/** A warning for new layers between two of unequal type, and one for a pattern of types that is no longer regular. */
export function typeWarnings(
  { layers }: Pick<ExpansionPlan, 'layers'>,
  { config }: Pick<Checkpoint, 'config'>,
): string[] {
  const types = layerTypesOf(config)
  if (new Set(types).size < 2) return []
  const between = layers.flatMap((layer, index) =>
    layer.kind === 'computed' && types[layer.sides[0]] !== types[layer.sides[1]]
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

/**
 * A warning for new layers among the first ones, after each of which a model adds what it sees once more: these go by
 * their numbers.
 */
export function deepFeatureWarnings(
  { layers }: Pick<ExpansionPlan, 'layers'>,
  { architecture, rawConfig }: Pick<Checkpoint, 'architecture' | 'rawConfig'>,
): string[] {
  const count = architecture.wrapping?.deepFeatures?.(rawConfig) ?? 0
  const among = layers
    .slice(0, count)
    .flatMap(({ kind }, index) => (kind === 'original' ? [] : [String(index)]))
  if (among.length === 0) return []
  return [
    `Of images, ${architecture.architectureName} adds features after each of the first ${count} layers, by their numbers. New layers are among these (${fewOf(among)}), so that original ones behind them no longer get what they got; with text alone nothing changes.`,
  ]
}
