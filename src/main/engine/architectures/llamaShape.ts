/** @file The parts that most decoder families share with Llama's. */
import {
  defineArchitecture,
  type Architecture,
  type BiasRule,
  type Family,
  type ForwardRules,
  type LinearModule,
  type Module,
  type NormModule,
  type QueryKeyNorms,
} from './Architecture'
import { LLAMA_ROPE } from './ropeConfig'

/** Norms on queries and keys, by the names that they usually have. */
export const QUERY_KEY_NORMS: QueryKeyNorms = {
  queries: 'self_attn.q_norm',
  keys: 'self_attn.k_norm',
  over: 'head',
}

export const LLAMA_FORWARD: ForwardRules = {
  norm: 'rms',
  beforeAttention: 'input_layernorm',
  beforeMlp: 'post_attention_layernorm',
  afterAttention: null,
  afterMlp: null,
  queryKeyNorms: null,
  ropePairs: 'halves',
}

/** A linear map that is one slot, or the rows of several. */
export function linear(
  name: string,
  slots: readonly string[],
  bias: BiasRule | null = null,
): LinearModule {
  return { name, slots, bias }
}

export const norm = (name: string, of: NormModule['of'] = 'hidden'): NormModule => ({ name, of })

/** Which of Llama's projections have biases, and which norms there are. */
interface LlamaLayer {
  readonly qkvBias?: BiasRule
  readonly outputBias?: BiasRule
  readonly mlpBias?: BiasRule
  /** Of queries and keys. */
  readonly headNorms?: readonly NormModule[]
  /** Without it the MLP has no gate. */
  readonly isGated?: boolean
  /** Of hidden size, in the reference's order. */
  readonly norms?: readonly string[]
}

const LLAMA_NORMS = ['input_layernorm', 'post_attention_layernorm']

/** A layer of seven separate projections, as the reference declares it. */
export function llamaModules(layer: LlamaLayer = {}): readonly Module[] {
  const { qkvBias = null, outputBias = null, mlpBias = null, headNorms = [] } = layer
  const { isGated = true, norms = LLAMA_NORMS } = layer
  return [
    linear('self_attn.q_proj', ['q_proj'], qkvBias),
    linear('self_attn.k_proj', ['k_proj'], qkvBias),
    linear('self_attn.v_proj', ['v_proj'], qkvBias),
    linear('self_attn.o_proj', ['o_proj'], outputBias),
    ...headNorms,
    ...(isGated ? [linear('mlp.gate_proj', ['gate_proj'], mlpBias)] : []),
    linear('mlp.up_proj', ['up_proj'], mlpBias),
    linear('mlp.down_proj', ['down_proj'], mlpBias),
    ...norms.map((name) => norm(name)),
  ]
}

/** Norms over each head of queries and keys. */
export const HEAD_NORMS: readonly NormModule[] = [
  norm(QUERY_KEY_NORMS.queries, 'head'),
  norm(QUERY_KEY_NORMS.keys, 'head'),
]

/** What a family has of {@link LLAMA}'s slots, `except` some. */
export function llamaSlots(...except: readonly string[]): Family['slots'] {
  return Object.fromEntries(Object.entries(LLAMA.slots).filter(([id]) => !except.includes(id)))
}

const LLAMA: Omit<Family, 'modelType' | 'architectureName'> = {
  names: {
    layerPrefix: 'model.layers.',
    embedTokens: 'model.embed_tokens.weight',
    finalNorm: 'model.norm.weight',
    lmHead: 'lm_head.weight',
  },
  modules: llamaModules(),
  slots: {
    q_proj: (config) => [config.numAttentionHeads * config.headDim, config.hiddenSize],
    k_proj: (config) => [config.numKeyValueHeads * config.headDim, config.hiddenSize],
    v_proj: (config) => [config.numKeyValueHeads * config.headDim, config.hiddenSize],
    o_proj: (config) => [config.hiddenSize, config.numAttentionHeads * config.headDim],
    gate_proj: (config) => [config.intermediateSize, config.hiddenSize],
    up_proj: (config) => [config.intermediateSize, config.hiddenSize],
    down_proj: (config) => [config.hiddenSize, config.intermediateSize],
  },
  residualWriters: ['o_proj', 'down_proj'],
  config: {
    path: null,
    defaultKeyValueHeads: null,
    defaultHeadDim: null,
    defaultRmsNormEps: 1e-6,
    rmsNormEpsKey: 'rms_norm_eps',
    intermediateSize: (fields) => fields.natural('intermediate_size'),
    activation: { key: 'hidden_act', absent: 'silu' },
    tiedByDefault: false,
    olderTieKey: null,
    outerTie: null,
    sizes: null,
    biases: {
      attention: { key: 'attention_bias', absent: false },
      output: { key: 'attention_bias', absent: false },
      mlp: { key: 'mlp_bias', absent: false },
    },
    scales: () => ({}),
    defaultSlidingWindow: 4096,
    window: null,
    experts: null,
    sharingKey: null,
    layerConfigsKey: null,
    otherTypes: [],
    own: () => ({}),
    convolution: null,
    layerLists: {},
    rope: LLAMA_ROPE,
    layerIndexLists: [
      'mlp_only_layers',
      'moe_layers',
      'cross_attention_layers',
      'attn_layer_indices',
      'full_attn_idxs',
    ],
  },
  forward: LLAMA_FORWARD,
}

/** A family of Llama's shape, by what differs: nothing but its names, at the least. */
export function llamaShaped(
  family: Pick<Family, 'modelType' | 'architectureName'> &
    Partial<Omit<Family, 'config'>> & { readonly config?: Partial<Family['config']> },
): Architecture {
  return defineArchitecture({ ...LLAMA, ...family, config: { ...LLAMA.config, ...family.config } })
}
