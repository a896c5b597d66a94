/** @file What a config says of each layer on its own, in lists or by the rule that a loader follows without them. */
import type { ConfigRules, Fields, LayerList, ModelConfig } from './config'

export const SLIDING = 'sliding_attention'
export const FULL = 'full_attention'
export const LINEAR = 'linear_attention'
export const CONVOLUTION = 'conv'

/** Every layer has the window, where `layer_types` does not say otherwise. */
export const ALL_SLIDE: LayerList = () => SLIDING

/** Every layer but each `period`-th one has the window. */
export function slidesBut(period: number): LayerList {
  return (_, layer) => ((layer + 1) % period === 0 ? FULL : SLIDING)
}

/** The window's size in tokens where it is used. */
export function slidingWindow(
  fields: Fields,
  { defaultSlidingWindow }: ConfigRules,
): number | null {
  if (fields.raw['sliding_window'] === null) return null
  if (fields.raw['sliding_window'] === undefined) return defaultSlidingWindow
  return fields.natural('sliding_window')
}

/** Which layers are of the sliding type, whether or not the window is switched on. */
export function slidingLayers(fields: Fields, rules: ConfigRules, layers: number): boolean[] {
  const { window: rule } = rules
  if (rule?.layers !== 'by_type') return Array<boolean>(layers).fill(rule !== null)
  return listedTypes(fields, rules, layers, [FULL, SLIDING]).map((type) => type === SLIDING)
}

/** What `layer_types` says of each layer that is of none of attention's types; `null` for the others. */
export function otherTypes(fields: Fields, rules: ConfigRules, layers: number): (string | null)[] {
  if (rules.otherTypes.length === 0) return Array<null>(layers).fill(null)
  const types = listedTypes(fields, rules, layers, [FULL, ...rules.otherTypes])
  return types.map((type) => (type === FULL ? null : type))
}

/** The type of each layer by `layer_types`, of those that the family has. */
export function listedTypes(
  fields: Fields,
  rules: Pick<ConfigRules, 'layerLists'>,
  layers: number,
  known: readonly string[],
): readonly string[] {
  const names = layerList(fields, rules, 'layer_types', layers)
  const types = names.map((name) => {
    const type = String(name)
    const current = OLDER_TYPES[type]
    return current !== undefined && known.includes(current) ? current : type
  })
  if (types.every((type) => known.includes(type))) return types
  throw fields.bad('layer_types', `only ${known.join(' and ')}`)
}

/** A list with an entry for each layer, as the config has it or else as a loader takes it; a longer one is cut. */
export function layerList(
  fields: Fields,
  { layerLists }: Pick<ConfigRules, 'layerLists'>,
  key: string,
  layers: number,
): readonly unknown[] {
  const absent = layerLists[key]
  if (!fields.has(key) && absent) {
    return Array.from({ length: layers }, (_, layer) => absent(fields, layer))
  }
  const list = fields.raw[key]
  if (
    !Array.isArray(list) ||
    list.length < layers ||
    (key === 'layer_types' && list.length > layers)
  ) {
    throw fields.bad(key, `a list of ${layers} entries`)
  }
  return list.slice(0, layers)
}

/** Words that older configs have for types of layers. */
const OLDER_TYPES: Readonly<Record<string, string>> = { attention: FULL, mamba: LINEAR }

/** What a layer is: a word for each trait, and what is said of it. */
type Traits = readonly (readonly [word: string, text: string])[]

function traitsOf(config: ModelConfig, layer: number): Traits {
  const { layerRopes, experts, numHiddenLayers, sharingLayers } = config
  return [
    mixerOf(config, layer),
    layerRopes[layer] === 'none' ? ['nope', 'no positions'] : ['rope', 'rotary positions'],
    experts?.isSparse[layer] === true ? ['experts', 'experts'] : ['dense', 'one MLP'],
    layer >= numHiddenLayers - sharingLayers
      ? ['sharing', 'keys and values of an earlier layer']
      : ['own', 'keys and values of its own'],
  ]
}

/** How a layer's tokens see those before them. */
function mixerOf(config: ModelConfig, layer: number): Traits[number] {
  const { windows, convolution, otherTypes: others } = config
  const window = windows[layer] ?? null
  if (others[layer] === LINEAR) return ['linear', 'linear attention']
  if (convolution?.isConvolution[layer] === true) return ['conv', 'a short convolution']
  return window === null
    ? ['full', 'full attention']
    : [`window${window}`, `a window of ${window} tokens`]
}

/** The traits of every layer by which the model's layers differ; where they do not, how they attend. */
function differingTraits(config: ModelConfig): Traits[] {
  const all = config.windows.map((_, layer) => traitsOf(config, layer))
  const differs = (trait: number): boolean =>
    new Set(all.map((traits) => traits[trait]?.[0])).size > 1
  const kept = [0, 1, 2, 3].filter(differs)
  return all.map((traits) => traits.filter((_, trait) => kept.includes(trait)))
}

/**
 * What type each layer is of, in words, by all in which layers of the model differ: how they attend, whether they turn
 * queries and keys by their positions, whether they have experts. Those of one type are computed alike and have the same
 * tensors.
 */
export function layerTypesOf(config: ModelConfig): string[] {
  return differingTraits(config).map((traits) => traits.map(([, text]) => text).join(', '))
}

/** A short name for each layer's type, a part of file names: `full`, `window4096_nope`; empty where all are alike. */
export function typeWordsOf(config: ModelConfig): string[] {
  return differingTraits(config).map((traits) => traits.map(([word]) => word).join('_'))
}
