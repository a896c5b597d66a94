import type { Family, Module } from './Architecture'
import type { ConvolutionConfig, Fields, LayerList } from './config'
import { CONVOLUTION, FULL, listedTypes } from './layerTypes'
import { LLAMA_FORWARD, linear, llamaShaped, llamaSlots, norm } from './llamaShape'
import { LLAMA_ROPE } from './ropeConfig'

const KERNEL = 'conv.conv'

/** What the matrix in front of a convolution gives: what it is multiplied by before it, by after it, and itself. */
const INNER = ['conv.b_proj', 'conv.c_proj', 'conv.x_proj'] as const
const OUTER = 'conv.out_proj'

const ATTENTION: readonly Module[] = [
  linear('self_attn.q_proj', ['q_proj']),
  linear('self_attn.k_proj', ['k_proj']),
  linear('self_attn.v_proj', ['v_proj']),
  linear('self_attn.out_proj', ['o_proj']),
  norm('self_attn.q_layernorm', 'head'),
  norm('self_attn.k_layernorm', 'head'),
]

const SHORT_CONVOLUTION: readonly Module[] = [
  { name: KERNEL, taps: ({ convolution }) => convolution?.taps ?? 0, bias: 'convolutionBias' },
  linear('conv.in_proj', INNER, 'convolutionBias'),
  linear('conv.out_proj', [OUTER], 'convolutionBias'),
]

const REST: readonly Module[] = [
  linear('feed_forward.w1', ['gate_proj']),
  linear('feed_forward.w3', ['up_proj']),
  linear('feed_forward.w2', ['down_proj']),
  norm('operator_norm'),
  norm('ffn_norm'),
]

const attentionSlots = llamaSlots('gate_proj', 'up_proj', 'down_proj')
const mlpSlots = llamaSlots(...Object.keys(attentionSlots))

const SLOTS: Family['slots'] = {
  ...attentionSlots,
  ...Object.fromEntries(
    [...INNER, OUTER].map((id) => [id, ({ hiddenSize }) => [hiddenSize, hiddenSize] as const]),
  ),
  ...mlpSlots,
}

/** Where a config has no types of its layers: those that are listed attend, or all. */
const listed: LayerList = (fields, layer) => {
  const key = 'full_attn_idxs'
  if (!fields.has(key)) return FULL
  const attending = fields.raw[key]
  if (!Array.isArray(attending)) throw fields.bad(key, 'a list of layers')
  return attending.includes(layer) ? FULL : CONVOLUTION
}

const layerLists = { layer_types: listed }

function convolutionConfig(fields: Fields, layers: number): ConvolutionConfig | null {
  const types = listedTypes(fields, { layerLists }, layers, [FULL, CONVOLUTION])
  const isConvolution = types.map((type) => type === CONVOLUTION)
  if (!isConvolution.includes(true)) return null
  return {
    taps: fields.natural('conv_L_cache', { absent: 3 }),
    hasBias: fields.flag('conv_bias'),
    isConvolution,
  }
}

/** What the config calls the MLP's size is that of one without a gate, of which the reference makes another. */
function intermediateSize(fields: Fields): number {
  const size = fields.natural(fields.has('block_ff_dim') ? 'block_ff_dim' : 'intermediate_size')
  if (!fields.flag('block_auto_adjust_ff_dim', true)) return size
  const gated = Math.floor((2 * size) / 3)
  const factor = 'block_ffn_dim_multiplier'
  if (fields.raw[factor] === null) return gated
  const multiple = fields.natural('block_multiple_of', { absent: 256 })
  const scaled = Math.floor(fields.number(factor, { absent: 1, min: 0 }) * gated)
  return multiple * Math.ceil(scaled / multiple)
}

/** Layers with a short convolution, and layers that attend; all with a gated MLP. */
export const lfm2 = llamaShaped({
  modelType: 'lfm2',
  architectureName: 'Lfm2ForCausalLM',
  names: {
    layerPrefix: 'model.layers.',
    embedTokens: 'model.embed_tokens.weight',
    finalNorm: 'model.embedding_norm.weight',
    lmHead: 'lm_head.weight',
  },
  modules: ({ convolution }, layer) => [
    ...(convolution?.isConvolution[layer] === true ? SHORT_CONVOLUTION : ATTENTION),
    ...REST,
  ],
  moduleOrder: [...ATTENTION, ...SHORT_CONVOLUTION, ...REST],
  slots: SLOTS,
  residualWriters: ['o_proj', OUTER, 'down_proj'],
  config: {
    defaultKeyValueHeads: 8,
    defaultRmsNormEps: 1e-5,
    rmsNormEpsKey: 'norm_eps',
    intermediateSize,
    tiedByDefault: true,
    olderTieKey: 'tie_embedding',
    convolution: convolutionConfig,
    layerLists,
    rope: { ...LLAMA_ROPE, defaultTheta: 1_000_000 },
  },
  forward: {
    ...LLAMA_FORWARD,
    beforeAttention: 'operator_norm',
    beforeMlp: 'ffn_norm',
    queryKeyNorms: {
      queries: 'self_attn.q_layernorm',
      keys: 'self_attn.k_layernorm',
      over: 'head',
    },
    convolution: KERNEL,
  },
})
