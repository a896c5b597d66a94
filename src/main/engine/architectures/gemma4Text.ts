import { AppError } from '@shared/errors'
import type { PlannedLayer } from '@shared/plan'
import type { Family, LinearModule, Module, ModulesOf } from './Architecture'
import type { Fields, ModelConfig, OwnSizes } from './config'
import { GEMMA_CONFIG, GEMMA_FORWARD, GEMMA_NORMS } from './gemma2'
import { layerList, slidesBut, SLIDING } from './layerTypes'
import { linear, llamaShaped, llamaSlots, norm } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

const LAYER_CONFIGS = 'per_layer_config'
const SHARING_KEY = 'num_kv_shared_layers'

/** The prefixes of slots whose shapes are others: of full attention, and of the wider MLP of layers that share. */
const [GLOBAL, WIDE] = ['global.', 'wide.'] as const

/** Sizes of full attention, from which transformers' own form of the config has them, layer by layer, or by their keys. */
function globalSizes(
  fields: Fields,
  { numHiddenLayers, headDim, numKeyValueHeads: keyValueHeads }: OwnSizes,
): { readonly headDim: number; readonly keyValueHeads: number } {
  if (!fields.has(LAYER_CONFIGS)) {
    const key = 'num_global_key_value_heads'
    const isOwn = fields.flag('attention_k_eq_v') && fields.has(key)
    return {
      headDim: fields.natural('global_head_dim', { absent: 512 }),
      keyValueHeads: isOwn ? fields.natural(key) : keyValueHeads,
    }
  }
  const all = fields.section(LAYER_CONFIGS)
  const types = layerList(fields, { layerLists }, 'layer_types', numHiddenLayers)
  const found = types.map((type, layer) => {
    const own = all.has(`${layer}`) ? all.section(`${layer}`) : all.with({})
    const known = ['head_dim', 'num_key_value_heads']
    const isPlain = type === SLIDING && Object.keys(own.raw).length > 0
    if (isPlain || !Object.keys(own.raw).every((key) => known.includes(key))) {
      throw fields.bad(LAYER_CONFIGS, 'sizes of heads of layers with full attention, and no more')
    }
    return type === SLIDING
      ? null
      : {
          headDim: own.natural('head_dim', { absent: headDim }),
          keyValueHeads: own.natural('num_key_value_heads', { absent: keyValueHeads }),
        }
  })
  const [first, ...others] = found.filter((sizes) => sizes !== null)
  const sizes = first ?? { headDim, keyValueHeads }
  if (others.some((other) => JSON.stringify(other) !== JSON.stringify(sizes))) {
    throw fields.bad(LAYER_CONFIGS, 'the same sizes for all layers with full attention')
  }
  return sizes
}

function ownSizes(fields: Fields, sizes: OwnSizes): ModelConfig['own'] {
  const { numHiddenLayers: layers } = sizes
  const types = layerList(fields, { layerLists }, 'layer_types', layers)
  // The reference makes it so, and a window of no size would make all layers alike.
  if (types[layers - 1] === SLIDING) throw fields.bad('layer_types', 'full attention at its end')
  fields.natural('sliding_window', { absent: 512 })
  const { headDim, keyValueHeads } = globalSizes(fields, sizes)
  const isMixed = fields.flag('enable_moe_block')
  return {
    globalHeadDim: headDim,
    globalKeyValueHeads: keyValueHeads,
    keysAreValues: Number(fields.flag('attention_k_eq_v')),
    widens: Number(fields.flag('use_double_wide_mlp')),
    perLayer: fields.natural('hidden_size_per_layer_input', { min: 0, absent: 256, whenNull: 0 }),
    perLayerVocabulary: fields.natural('vocab_size_per_layer_input', { absent: 262_144 }),
    experts: isMixed ? fields.natural('num_experts') : 0,
    expertSize: isMixed ? fields.natural('moe_intermediate_size') : 0,
  }
}

const of = ({ own }: Pick<ModelConfig, 'own'>, key: string): number => own[key] ?? 0

/** The first layer that takes keys and values from an earlier one; as many as there are layers where none does. */
function firstSharing(config: ModelConfig): number {
  return config.numHiddenLayers - config.sharingLayers
}

const layerLists: Family['config']['layerLists'] = {
  layer_types: (fields, layer) => {
    const last = fields.natural('num_hidden_layers') - 1
    return layer === last ? 'full_attention' : slidesBut(6)(fields, layer)
  },
}

const MODULES: ModulesOf = (config, layer) => {
  const isFull = config.windows[layer] === null
  const isSharing = layer >= firstSharing(config)
  const isWide = isSharing && of(config, 'widens') === 1
  const headDim = isFull ? of(config, 'globalHeadDim') : config.headDim
  const { hiddenSize } = config
  const tensor = (name: string, ...shape: readonly number[]): Module => ({ name, shape })
  const attention = (name: string): LinearModule =>
    linear(`self_attn.${name}`, [isFull ? `${GLOBAL}${name}` : name], 'attentionBias')
  const mlp = (name: string): LinearModule =>
    linear(`mlp.${name}`, [isWide ? `${WIDE}${name}` : name])
  const hasValues = !(isFull && of(config, 'keysAreValues') === 1)
  const [perLayer, experts, size] = [
    of(config, 'perLayer'),
    of(config, 'experts'),
    of(config, 'expertSize'),
  ]
  return [
    { name: 'layer_scalar', shape: [1], isBuffer: true },
    attention('q_proj'),
    tensor('self_attn.q_norm.weight', headDim),
    ...(isSharing
      ? []
      : [
          tensor('self_attn.k_norm.weight', headDim),
          attention('k_proj'),
          ...(hasValues ? [attention('v_proj')] : []),
        ]),
    attention('o_proj'),
    mlp('gate_proj'),
    mlp('up_proj'),
    mlp('down_proj'),
    ...GEMMA_NORMS.map((name) => norm(name)),
    ...(perLayer === 0
      ? []
      : [
          linear('per_layer_input_gate', ['per_layer_input_gate']),
          linear('per_layer_projection', ['per_layer_projection']),
          norm('post_per_layer_input_norm'),
        ]),
    ...(experts === 0
      ? []
      : [
          tensor('router.scale', hiddenSize),
          tensor('router.per_expert_scale', experts),
          tensor('router.proj.weight', experts, hiddenSize),
          tensor('experts.gate_up_proj', experts, 2 * size, hiddenSize),
          tensor('experts.down_proj', experts, hiddenSize, size),
          norm('post_feedforward_layernorm_1'),
          norm('post_feedforward_layernorm_2'),
          norm('pre_feedforward_layernorm_2'),
        ]),
  ]
}

const SLOTS: Family['slots'] = (() => {
  const { gate_proj: gate, up_proj: up, down_proj: down, ...attention } = llamaSlots()
  const globals = (config: ModelConfig): ModelConfig => ({
    ...config,
    headDim: of(config, 'globalHeadDim'),
    numKeyValueHeads: of(config, 'globalKeyValueHeads'),
  })
  const wide = (config: ModelConfig): ModelConfig => ({
    ...config,
    intermediateSize: 2 * config.intermediateSize,
  })
  const others = (
    prefix: string,
    slots: Family['slots'],
    changed: (config: ModelConfig) => ModelConfig,
  ): Family['slots'] =>
    Object.fromEntries(
      Object.entries(slots).map(([id, shape]) => [
        `${prefix}${id}`,
        (config) => shape(changed(config)),
      ]),
    )
  const mlp = { gate_proj: gate!, up_proj: up!, down_proj: down! }
  return {
    ...attention,
    ...others(GLOBAL, attention, globals),
    ...mlp,
    ...others(WIDE, mlp, wide),
    per_layer_input_gate: (config) => [of(config, 'perLayer'), config.hiddenSize],
    per_layer_projection: (config) => [config.hiddenSize, of(config, 'perLayer')],
  }
})()

/**
 * Refuses layers in an order that cannot be said in a config: those that share keys and values are its last ones, and take
 * them from the last of their type before. A block that adds nothing must not become the one that they are taken from.
 *
 * @throws AppError `bad_request`.
 */
function requireOrder(config: ModelConfig, layers: readonly PlannedLayer[], file: string): void {
  const first = firstSharing(config)
  const refuse = (message: string, expected: string, actual: string): AppError =>
    new AppError('bad_request', message, {
      hint: 'Choose other places (--gaps), or another method.',
      context: { file, field: SHARING_KEY, expected, actual },
    })
  const shares = layers.map(({ source }) => source >= first)
  const wrong = shares.findIndex((isSharing, layer) => !isSharing && shares[layer - 1] === true)
  if (wrong !== -1) {
    throw refuse(
      `The last ${config.sharingLayers} layers take keys and values from earlier ones, and have none of their own: no other layer can follow them.`,
      `layers from ${first} on at the end`,
      `layer ${layers[wrong]?.source} behind layer ${layers[wrong - 1]?.source}`,
    )
  }
  const last = layers.at(-1)?.source ?? 0
  if (config.windows[last] !== null) {
    throw refuse('The last layer must have full attention.', 'full attention', `layer ${last}`)
  }
  if (!shares.includes(true)) return
  for (const window of new Set(config.windows)) {
    const given = layers.filter(
      ({ source }, layer) => shares[layer] === false && config.windows[source] === window,
    )
    const { kind, source } = given.at(-1) ?? {}
    if (kind !== 'identity') continue
    throw refuse(
      `A block made of layer ${source} would become the layer that later ones take keys and values from, and the model would not answer as its base does.`,
      `no block behind layer ${source}`,
      'a block there',
    )
  }
}

/** Gemma 4's text model on its own. */
export const gemma4Text = llamaShaped({
  modelType: 'gemma4_text',
  architectureName: 'Gemma4ForCausalLM',
  modules: MODULES,
  moduleOrder: [
    { name: 'layer_scalar' },
    { name: 'self_attn.' },
    { name: 'mlp.' },
    ...GEMMA_NORMS.map((name) => norm(`${name}.`)),
  ],
  slots: SLOTS,
  residualWriters: [
    'o_proj',
    'down_proj',
    `${GLOBAL}o_proj`,
    `${WIDE}down_proj`,
    'per_layer_projection',
  ],
  furtherScales: { 'post_per_layer_input_norm.weight': 0, layer_scalar: 1 },
  besideLayers: (config) => {
    const each = of(config, 'perLayer')
    const all = each * config.numHiddenLayers
    return each === 0
      ? []
      : [
          {
            name: 'embed_tokens_per_layer.weight',
            shape: [of(config, 'perLayerVocabulary'), all],
            layersAlong: 1,
          },
          {
            name: 'per_layer_model_projection.weight',
            shape: [all, config.hiddenSize],
            layersAlong: 0,
          },
          { name: 'per_layer_projection_norm.weight', shape: [each], layersAlong: null },
        ]
  },
  requireOrder,
  copiedOnly: (config) =>
    of(config, 'experts') === 0 ? null : 'experts in one tensor, which are not told apart',
  config: {
    ...GEMMA_CONFIG,
    sizes: {
      vocab_size: 262_144,
      hidden_size: 2304,
      intermediate_size: 9216,
      num_hidden_layers: 30,
      num_attention_heads: 8,
      max_position_embeddings: 131_072,
    },
    defaultSlidingWindow: 512,
    layerLists,
    layerConfigsKey: LAYER_CONFIGS,
    sharingKey: SHARING_KEY,
    own: ownSizes,
    rope: {
      ...LLAMA_ROPE,
      defaultTheta: 1_000_000,
      layers: 'by_type',
      localTheta: { key: null, absent: 10_000 },
    },
  },
  forward: {
    ...GEMMA_FORWARD,
    norm: 'rms',
    missing: 'scales of the whole stream, and norms on values',
  },
})
