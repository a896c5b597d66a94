import { AppError } from '@shared/errors'
import { decoderFields, type ConfigRules, type Fields, type RawConfig } from './config'
import { layerList, SLIDING } from './layerTypes'

/** Where the window begins in a config of Qwen's that does not say so. */
export const DEFAULT_WINDOW_START = 28

/**
 * Lists with one entry per layer, by the names that published configs give them: those that the reference's modelling
 * code looks up by a layer's number, and those of the decoders on the Hub that bring their own code.
 */
const PER_LAYER: ReadonlySet<string> = new Set([
  'layer_types',
  'mlp_layer_types',
  'layers_block_type',
  'no_rope_layers',
  'sliding_windows',
  'attention_window',
  'layer_rope_theta',
  'indexer_types',
  'intermediate_size',
  'activation_sparsity_pattern',
  'num_attention_heads_per_layer',
  'num_key_value_heads_per_layer',
  'layers_num_experts',
  'moe_topk',
  'swiglu_limits',
  'swiglu_limits_shared',
  // MiniMax, MiMo, OpenELM, GPT-Neo and the models that Nemotron's search made.
  'attn_type_list',
  'hybrid_layer_pattern',
  'moe_layer_freq',
  'num_query_heads',
  'num_kv_heads',
  'ffn_multipliers',
  'attention_layers',
  'block_configs',
])

/** Lists that have nothing to do with layers, whatever their length happens to be: nobody has to be told of them. */
const NOT_PER_LAYER =
  /^(?:architectures|torch_dtype|dtype|tags|datasets|languages?|license|base_model|bad_words(?:_ids)?|forced_decoder_ids|keys_to_ignore_at_inference)$|^stop|^eos|^bos|^pad|token|modules|factor|label/

/**
 * The config of a model whose layer `j` stands where layer `sources[j]` of the base stood.
 *
 * Lists with one entry per layer follow their layers. Those that a loader would make from a period or a layer number are
 * spelled out where they would not come out the same; a number from which a window begins is set so that older loaders
 * agree where they can.
 */
export function deepenConfig(
  rawConfig: RawConfig,
  sources: readonly number[],
  rules: ConfigRules,
): Record<string, unknown> {
  const { path } = rules
  const fields = decoderFields(rawConfig, rules, 'config.json')
  if (path === null) return deepened(rawConfig, fields, sources, rules)
  const inner = deepened(rawConfig[path] as RawConfig, fields, sources, rules)
  // Some have the decoder's keys a second time at the top, which other loaders read.
  const isTwice = rawConfig['num_hidden_layers'] === fields.raw['num_hidden_layers']
  const outer = isTwice ? deepened(rawConfig, fields.with(rawConfig), sources, rules) : rawConfig
  return { ...outer, [path]: inner }
}

/** @param fields The same keys, with what the config leaves out. */
function deepened(
  rawConfig: RawConfig,
  fields: Fields,
  sources: readonly number[],
  rules: ConfigRules,
): Record<string, unknown> {
  const layers = Number(fields.raw['num_hidden_layers'])
  const outside = sources.find(
    (source) => !Number.isInteger(source) || source < 0 || source >= layers,
  )
  if (outside !== undefined || sources.length === 0) {
    throw new AppError('bug', 'The grown layers do not come from layers of the model.', {
      context: { expected: `0 to ${layers - 1}`, actual: String(outside ?? 'none') },
    })
  }
  const grown: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(rawConfig)) {
    grown[key] = rules.layerIndexLists.includes(key)
      ? followIndices(value, sources)
      : followLayers(key, value, layers, sources)
  }
  grown['num_hidden_layers'] = sources.length
  for (const key of Object.keys(rules.layerLists)) {
    const list = layerList(fields, rules, key, layers)
    const own = sources.map((source) => list[source])
    if (fields.has(key) || isSpelledOut(fields, rules, key, own)) grown[key] = own
  }
  Object.assign(grown, sharing(fields, sources, rules), layerConfigs(fields, sources, rules))
  Object.assign(grown, denseLayers(fields, fields.with(grown), sources, rules))
  const start = rules.window?.startKey
  if (start && fields.flag('use_sliding_window') && rawConfig['sliding_window'] !== null) {
    const types = layerList(fields, rules, 'layer_types', layers)
    const firstSliding = sources.findIndex((source) => types[source] === SLIDING)
    const begin = Number(rawConfig[start] ?? DEFAULT_WINDOW_START)
    // Without a sliding layer the window must begin beyond the last one.
    grown[start] = firstSliding === -1 ? Math.max(begin, sources.length) : firstSliding
  }
  return grown
}

/**
 * Keys that keep layers without experts so, where a step in the numbers of layers would give experts to others once some
 * are inserted.
 */
function denseLayers(
  before: Fields,
  after: Fields,
  sources: readonly number[],
  { experts }: ConfigRules,
): Record<string, unknown> {
  if (!experts) return {}
  const sparseIn = (fields: Fields): readonly boolean[] => {
    const layers = Number(fields.raw['num_hidden_layers'])
    return experts(fields, layers)?.isSparse ?? Array<boolean>(layers).fill(false)
  }
  const base = sparseIn(before)
  const own = sources.map((source) => base[source] === true)
  if (own.join() === sparseIn(after).join()) return {}
  const dense = own.flatMap((isSparse, layer) => (isSparse ? [] : [layer]))
  return { mlp_only_layers: dense, decoder_sparse_step: 1 }
}

/** How many of the last layers take keys and values from earlier ones. */
function sharing(
  fields: Fields,
  sources: readonly number[],
  { sharingKey }: ConfigRules,
): Record<string, unknown> {
  if (sharingKey === null || !fields.has(sharingKey)) return {}
  const first = Number(fields.raw['num_hidden_layers']) - Number(fields.raw[sharingKey])
  return { [sharingKey]: sources.filter((source) => source >= first).length }
}

/** What single layers have of their own, under their new numbers. */
function layerConfigs(
  fields: Fields,
  sources: readonly number[],
  { layerConfigsKey }: ConfigRules,
): Record<string, unknown> {
  if (layerConfigsKey === null || !fields.has(layerConfigsKey)) return {}
  const { raw } = fields.section(layerConfigsKey)
  const own = sources.flatMap((source, layer) =>
    `${source}` in raw ? [[`${layer}`, raw[`${source}`]] as const] : [],
  )
  return { [layerConfigsKey]: Object.fromEntries(own) }
}

/** Whether a list that the config leaves to the loader would come out otherwise, or only just comes out the same. */
function isSpelledOut(
  fields: Fields,
  { layerLists }: ConfigRules,
  key: string,
  own: readonly unknown[],
): boolean {
  const absent = layerLists[key]
  return own.some((entry, layer) => entry !== own[0] || entry !== absent?.(fields, layer))
}

/** The new places of the layers that a list names. */
function followIndices(value: unknown, sources: readonly number[]): unknown {
  if (!Array.isArray(value)) return value
  return sources.flatMap((source, layer) => (value.includes(source) ? [layer] : []))
}

function followLayers(
  key: string,
  value: unknown,
  layers: number,
  sources: readonly number[],
): unknown {
  if (!Array.isArray(value) || !PER_LAYER.has(key)) return value
  const list: readonly unknown[] = value
  return list.length === layers ? sources.map((source) => list[source]) : value
}

/** The names of lists that have as many entries as the model has layers, and are not known to follow them or not to. */
export function unknownLists(rawConfig: RawConfig, rules: ConfigRules): string[] {
  const { raw } = decoderFields(rawConfig, rules, 'config.json')
  const layers = Number(raw['num_hidden_layers'])
  return Object.entries(raw)
    .filter(
      ([key, value]) =>
        Array.isArray(value) && value.length === layers && layers > 1 && isUnknown(key, rules),
    )
    .map(([key]) => key)
}

function isUnknown(key: string, { layerIndexLists }: ConfigRules): boolean {
  return !PER_LAYER.has(key) && !layerIndexLists.includes(key) && !NOT_PER_LAYER.test(key)
}
