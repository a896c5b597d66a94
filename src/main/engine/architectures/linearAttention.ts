/**
 * @file The parts of Qwen's hybrid decoders: layers of gated linear attention (Gated DeltaNet) with a layer of gated full
 * attention after every few. After transformers' modelling code of `qwen3_next` and `qwen3_5`.
 */
import type { Family, ForwardRules, LinearModule, Module, ModulesOf } from './Architecture'
import type { Fields, LayerList, ModelConfig } from './config'
import { FULL, LINEAR } from './layerTypes'
import { LLAMA_FORWARD, linear, llamaSlots, QUERY_KEY_NORMS } from './llamaShape'

/** Numbers of the config that the tensors of linear attention have their shapes from. */
const DEFAULT_SIZES = {
  linear_conv_kernel_dim: 4,
  linear_key_head_dim: 128,
  linear_value_head_dim: 128,
  linear_num_key_heads: 16,
  linear_num_value_heads: 32,
}

interface LinearSizes {
  readonly valueHeads: number
  /** Of a value head. */
  readonly valueDim: number
  /** Of all heads together. */
  readonly keys: number
  readonly values: number
  readonly kernel: number
}

export function linearSizes({ own }: Pick<ModelConfig, 'own'>): LinearSizes {
  const of = (key: keyof typeof DEFAULT_SIZES): number => own[key] ?? DEFAULT_SIZES[key]
  return {
    valueHeads: of('linear_num_value_heads'),
    valueDim: of('linear_value_head_dim'),
    keys: of('linear_num_key_heads') * of('linear_key_head_dim'),
    values: of('linear_num_value_heads') * of('linear_value_head_dim'),
    kernel: of('linear_conv_kernel_dim'),
  }
}

function ownSizes(fields: Fields): ModelConfig['own'] {
  return Object.fromEntries(
    Object.entries(DEFAULT_SIZES).map(([key, absent]) => [key, fields.natural(key, { absent })]),
  )
}

/** Every `full_attention_interval`-th layer has full attention. */
const LAYER_TYPES: LayerList = (fields, layer) => {
  const interval = fields.natural('full_attention_interval', { absent: 4 })
  return (layer + 1) % interval === 0 ? FULL : LINEAR
}

/** Each head's queries have a gate behind them, in the same tensor. */
export const GATED_SLOTS: Family['slots'] = {
  ...llamaSlots(),
  q_proj: (config) => [2 * config.numAttentionHeads * config.headDim, config.hiddenSize],
}

export const LINEAR_WRITER = 'linear.out_proj'

/** What of linear attention's is predicted beside its projections, which families pack differently. */
export const LINEAR_OUTPUT: Family['slots'] = {
  [LINEAR_WRITER]: (config) => [config.hiddenSize, linearSizes(config).values],
}

/**
 * A layer's modules, with linear attention in place of what its config says of attention where `layer_types` says so.
 *
 * @param modules Of a layer with full attention.
 * @param projections Of linear attention, without its output.
 */
export function withLinearAttention(
  modules: ModulesOf,
  projections: readonly LinearModule[],
): ModulesOf {
  return (config, layer) => {
    const full = modules(config, layer)
    if (config.otherTypes[layer] !== LINEAR) return full
    const rest = full.filter(({ name }) => !name.startsWith('self_attn.'))
    return [...linearAttention(config, projections), ...rest]
  }
}

function linearAttention(config: ModelConfig, projections: readonly LinearModule[]): Module[] {
  const { valueHeads, valueDim, keys, values, kernel } = linearSizes(config)
  const own = (name: string, ...shape: readonly number[]): Module => ({
    name: `linear_attn.${name}`,
    shape,
  })
  return [
    own('dt_bias', valueHeads),
    own('A_log', valueHeads),
    own('conv1d.weight', 2 * keys + values, 1, kernel),
    own('norm.weight', valueDim),
    linear('linear_attn.out_proj', [LINEAR_WRITER]),
    ...projections,
  ]
}

export const HYBRID_CONFIG = {
  defaultHeadDim: 256,
  otherTypes: [LINEAR],
  own: ownSizes,
  layerLists: { layer_types: LAYER_TYPES },
} satisfies Partial<Family['config']>

export const HYBRID_FORWARD: ForwardRules = {
  ...LLAMA_FORWARD,
  norm: 'rms_plus_one',
  queryKeyNorms: QUERY_KEY_NORMS,
  missing: 'linear attention, and gates on full attention',
}
