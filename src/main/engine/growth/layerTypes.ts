/** @file What is to be said of new layers in models whose layers are not all of one type. */
import { methodNamed } from '@shared/methods'
import { periodOf, range } from '@shared/methods/layers'
import type { LayoutValue, Option } from '@shared/methods/options'
import type { ExpansionPlan } from '@shared/plan'
import { fewOf } from '@shared/text'
import type { Architecture } from '../architectures/Architecture'
import { layerTypesOf } from '../architectures/layerTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'

/** A warning for new layers between two of unequal type, and one for a pattern of types that is no longer regular. */
export function typeWarnings(
  plan: Pick<ExpansionPlan, 'method' | 'layers' | 'resolved'>,
  { architecture, config }: Pick<Checkpoint, 'architecture' | 'config'>,
): string[] {
  const types = layerTypesOf(config)
  if (new Set(types).size < 2) return []
  const { layers } = plan
  const between = layers.flatMap((layer, index) =>
    layer.kind === 'computed' && types[layer.sides[0]] !== types[layer.sides[1]]
      ? [`${index} (${types[layer.source] ?? ''})`]
      : [],
  )
  return [
    ...(between.length > 0
      ? [
          `New layers between two of unequal type attend as the one before them does: layer ${fewOf(between)}. What both layers say of it may suit neither.`,
        ]
      : []),
    ...brokenPattern(plan, types, architecture),
  ]
}

function brokenPattern(
  plan: Pick<ExpansionPlan, 'method' | 'layers' | 'resolved'>,
  types: readonly string[],
  { architectureName, fixedPeriod }: Pick<Architecture, 'architectureName' | 'fixedPeriod'>,
): string[] {
  const period = periodOf(types)
  if (period === null || keeps(plan.layers, types, period)) return []
  const list = 'config.json lists them, and transformers goes by the list'
  const others =
    fixedPeriod === period
      ? `llama.cpp does not: it takes the layers of every ${architectureName} to repeat so, and would compute another model without a word`
      : 'whatever derives them from the period would compute another model'
  return [
    `The layers’ types no longer repeat every ${period} layers. ${list}; ${others}. ${remedyFor(plan, types, period)}`.trim(),
  ]
}

function keeps(
  layers: readonly { readonly source: number }[],
  types: readonly string[],
  period: number,
): boolean {
  return layers.every(({ source }, index) => types[source] === types[index % period])
}

/** With which of the method's options the types go on repeating; empty where there is none. */
function remedyFor(
  { method, resolved }: Pick<ExpansionPlan, 'method' | 'resolved'>,
  types: readonly string[],
  period: number,
): string {
  const { options } = methodNamed(method)
  const pattern = Object.values(options).find(({ kind }) => kind === 'pattern')
  if (pattern?.kind === 'pattern') return `“${pattern.label}” puts in whole periods.`
  for (const [key, option] of Object.entries(options)) {
    const value = resolved[key]
    const kept = alternativesTo(option, value, types.length).find((other) => {
      const { layers } = methodNamed(method).plan({ [key]: other }, types.length)
      return layers.length > types.length && keeps(layers, types, period)
    })
    if (kept !== undefined && 'label' in option) {
      const shown = typeof kept === 'number' ? String(kept) : kept.join('–')
      return `With “${option.label}” at ${shown} they would.`
    }
  }
  return ''
}

/** Other values of a number or a range of layers, the nearest first. */
function alternativesTo(option: Option, value: unknown, layers: number): LayoutValue[] {
  const nearest = (at: number, others: readonly number[]): number[] =>
    [...others].sort((a, b) => Math.abs(a - at) - Math.abs(b - at))
  if (option.kind === 'count' && typeof value === 'number') {
    return nearest(value, range(option.min, option.max(layers) + 1))
  }
  if (option.kind === 'range' && Array.isArray(value)) {
    const [first = 0, last = 0] = value as readonly number[]
    return nearest(first, range(0, last + 1)).map((other) => [other, last])
  }
  return []
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

/** What is to be said of a plan before anything is computed. */
export function planWarnings(plan: ExpansionPlan, checkpoint: Checkpoint): string[] {
  return [...typeWarnings(plan, checkpoint), ...deepFeatureWarnings(plan, checkpoint)]
}
