/**
 * @file What the product knows about each model family. To support another decoder of the Llama shape, add one entry to
 * {@link ARCHITECTURES}; where its forward pass differs, add a flag to `forward` and honour it in the decoder graph.
 */
import { AppError } from '@shared/errors'
import { WEIGHT_TYPES, type WeightType } from '@shared/weightTypes'
import type { ConfigRules, ModelConfig, RawConfig } from './config'
import { deepenConfig } from './deepenConfig'

/** What a tensor of a decoder layer is for. */
export type LayerTensorRole = 'weight' | 'bias' | 'norm' | 'qk_norm'

/** One tensor that every decoder layer of a model has. */
export interface LayerTensor {
  /** Name within the layer: `self_attn.q_proj.weight`. */
  readonly suffix: string
  readonly role: LayerTensorRole
  /** The projection it belongs to; absent for norms. */
  readonly weightType?: WeightType
  readonly shape: readonly number[]
}

/** When a projection has a bias: always, or when the config's flag of this name is set. */
export type BiasRule = 'always' | 'attentionBias' | 'mlpBias'

/** Everything the product knows about one model family. */
export interface Architecture {
  /** `model_type` of the config. */
  readonly modelType: string
  /** `architectures[0]` of the config. */
  readonly architectureName: string
  /** What comes before the layer number: `model.layers.`. */
  readonly layerPrefix: string
  readonly embedTokens: string
  readonly finalNorm: string
  /** Absent from the file when the embeddings are tied. */
  readonly lmHead: string
  /** The predicted matrices: name within the layer, without `.weight` or `.bias`. */
  readonly weights: Readonly<Record<WeightType, string>>
  /** Norm weights of hidden size, full name within the layer: `input_layernorm.weight`. */
  readonly norms: readonly string[]
  /** Norm weights of head size on queries and keys; empty when there are none. */
  readonly qkNorms: readonly string[]
  /** Which projections have a bias, and when. */
  readonly biasRules: Readonly<Partial<Record<WeightType, BiasRule>>>
  /** Every bias a layer may have, full name within the layer; whether it has depends on the config. */
  readonly biases: readonly string[]
  /** What a LLaMA Pro block sets to zero, full name within the layer: weights, and their biases where there are any. */
  readonly identityZeros: readonly string[]
  readonly configRules: ConfigRules
  readonly forward: {
    /** Queries and keys are RMS-normalised per head before RoPE. */
    readonly qkNorm: boolean
  }
  /** The tensors each layer must have under this config, with their shapes, in state-dict order. */
  layerTensors(config: ModelConfig): readonly LayerTensor[]
  /**
   * The config of a model with `sources.length` layers; layer `j` takes its attention type from layer `sources[j]` of
   * the base. Only what depends on depth is changed; every other key keeps its spelling and its value.
   */
  deepenConfig(rawConfig: RawConfig, sources: readonly number[]): Record<string, unknown>
}

/** An entry of the table: what distinguishes one family from Llama. */
interface Entry extends Omit<ConfigRules, 'defaultKeyValueHeads' | 'defaultHeadDim'> {
  readonly defaultKeyValueHeads?: number
  readonly defaultHeadDim?: number
  readonly biasRules: Readonly<Partial<Record<WeightType, BiasRule>>>
  readonly qkNorm: boolean
}

/** Facts and defaults as in the reference implementation's configuration and modelling files. */
const ENTRIES: readonly Entry[] = [
  {
    modelType: 'llama',
    architectureName: 'LlamaForCausalLM',
    window: 'none',
    biasRules: {
      q_proj: 'attentionBias',
      k_proj: 'attentionBias',
      v_proj: 'attentionBias',
      o_proj: 'attentionBias',
      gate_proj: 'mlpBias',
      up_proj: 'mlpBias',
      down_proj: 'mlpBias',
    },
    qkNorm: false,
  },
  {
    modelType: 'mistral',
    architectureName: 'MistralForCausalLM',
    defaultKeyValueHeads: 8,
    window: 'global',
    biasRules: {},
    qkNorm: false,
  },
  {
    modelType: 'qwen2',
    architectureName: 'Qwen2ForCausalLM',
    defaultKeyValueHeads: 32,
    window: 'by_layer',
    biasRules: { q_proj: 'always', k_proj: 'always', v_proj: 'always' },
    qkNorm: false,
  },
  {
    modelType: 'qwen3',
    architectureName: 'Qwen3ForCausalLM',
    defaultKeyValueHeads: 32,
    defaultHeadDim: 128,
    window: 'by_layer',
    biasRules: {
      q_proj: 'attentionBias',
      k_proj: 'attentionBias',
      v_proj: 'attentionBias',
      o_proj: 'attentionBias',
    },
    qkNorm: true,
  },
]

const WEIGHTS: Architecture['weights'] = {
  q_proj: 'self_attn.q_proj',
  k_proj: 'self_attn.k_proj',
  v_proj: 'self_attn.v_proj',
  o_proj: 'self_attn.o_proj',
  gate_proj: 'mlp.gate_proj',
  up_proj: 'mlp.up_proj',
  down_proj: 'mlp.down_proj',
}

/** The projections that write to the residual stream: zero, they make a block the identity. */
const RESIDUAL_WRITERS = ['o_proj', 'down_proj'] as const

/** Every supported model family. */
export const ARCHITECTURES: readonly Architecture[] = ENTRIES.map(defineArchitecture)

function defineArchitecture(entry: Entry): Architecture {
  const configRules: ConfigRules = {
    modelType: entry.modelType,
    architectureName: entry.architectureName,
    defaultKeyValueHeads: entry.defaultKeyValueHeads ?? null,
    defaultHeadDim: entry.defaultHeadDim ?? null,
    window: entry.window,
  }
  const withBias = WEIGHT_TYPES.filter((type) => entry.biasRules[type] !== undefined)
  const architecture: Architecture = {
    modelType: entry.modelType,
    architectureName: entry.architectureName,
    layerPrefix: 'model.layers.',
    embedTokens: 'model.embed_tokens.weight',
    finalNorm: 'model.norm.weight',
    lmHead: 'lm_head.weight',
    weights: WEIGHTS,
    norms: ['input_layernorm.weight', 'post_attention_layernorm.weight'],
    qkNorms: entry.qkNorm ? ['self_attn.q_norm.weight', 'self_attn.k_norm.weight'] : [],
    biasRules: entry.biasRules,
    biases: withBias.map((type) => `${WEIGHTS[type]}.bias`),
    identityZeros: RESIDUAL_WRITERS.flatMap((type) => [
      `${WEIGHTS[type]}.weight`,
      ...(withBias.includes(type) ? [`${WEIGHTS[type]}.bias`] : []),
    ]),
    configRules,
    forward: { qkNorm: entry.qkNorm },
    layerTensors: (config) => layerTensors(architecture, config),
    deepenConfig: (rawConfig, sources) => deepenConfig(rawConfig, sources, entry.window),
  }
  return architecture
}

function layerTensors(architecture: Architecture, config: ModelConfig): LayerTensor[] {
  const { hiddenSize, intermediateSize, headDim } = config
  const queryRows = config.numAttentionHeads * headDim
  const keyRows = config.numKeyValueHeads * headDim
  const shapes: Readonly<Record<WeightType, readonly [number, number]>> = {
    q_proj: [queryRows, hiddenSize],
    k_proj: [keyRows, hiddenSize],
    v_proj: [keyRows, hiddenSize],
    o_proj: [hiddenSize, queryRows],
    gate_proj: [intermediateSize, hiddenSize],
    up_proj: [intermediateSize, hiddenSize],
    down_proj: [hiddenSize, intermediateSize],
  }
  const projections = (types: readonly WeightType[]): LayerTensor[] =>
    types.flatMap((weightType) => {
      const name = architecture.weights[weightType]
      const shape = shapes[weightType]
      const rule = architecture.biasRules[weightType]
      const hasBias = rule === 'always' || (rule !== undefined && config[rule])
      return [
        { suffix: `${name}.weight`, role: 'weight' as const, weightType, shape },
        ...(hasBias
          ? [{ suffix: `${name}.bias`, role: 'bias' as const, weightType, shape: [shape[0]] }]
          : []),
      ]
    })
  return [
    ...projections(['q_proj', 'k_proj', 'v_proj', 'o_proj']),
    ...architecture.qkNorms.map((suffix) => ({
      suffix,
      role: 'qk_norm' as const,
      shape: [headDim],
    })),
    ...projections(['gate_proj', 'up_proj', 'down_proj']),
    ...architecture.norms.map((suffix) => ({
      suffix,
      role: 'norm' as const,
      shape: [hiddenSize],
    })),
  ]
}

/** What `model_type` and `architectures` of a config say, where they are well formed. */
export function architectureNamesOf(rawConfig: RawConfig): {
  modelType: string | null
  architectureName: string | null
} {
  const modelType = rawConfig['model_type']
  const architectures = rawConfig['architectures']
  const first: unknown = Array.isArray(architectures) ? architectures[0] : undefined
  return {
    modelType: typeof modelType === 'string' ? modelType : null,
    architectureName: typeof first === 'string' ? first : null,
  }
}

/**
 * The architecture a config belongs to. Where it gives both `model_type` and `architectures`, both must agree: another
 * head on the same decoder is another model.
 *
 * @throws AppError `unsupported_architecture`, naming what is supported.
 */
export function architectureOf(rawConfig: RawConfig, file: string): Architecture {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  const found = ARCHITECTURES.find(
    (each) =>
      (modelType !== null || architectureName !== null) &&
      (modelType ?? each.modelType) === each.modelType &&
      (architectureName ?? each.architectureName) === each.architectureName,
  )
  if (found) return found
  const supported = ARCHITECTURES.map((each) => each.architectureName).join(', ')
  const actual = [architectureName ?? 'no architecture', modelType ?? 'no model type'].join(', ')
  throw new AppError(
    'unsupported_architecture',
    `Models of this kind cannot be grown: ${actual}.`,
    {
      hint: `Supported are ${supported}.`,
      context: { file, field: 'architectures, model_type', expected: supported, actual },
    },
  )
}
