import type { WeightType } from '@shared/weightTypes'
import type { ModelConfig } from './config'

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
  readonly lmHead: string
  /** The predicted matrices: name within the layer, without `.weight` or `.bias`. */
  readonly weights: Readonly<Record<WeightType, string>>
  /** Norm weights of hidden size, full name within the layer: `input_layernorm.weight`. */
  readonly norms: readonly string[]
  /** Norm weights of head size on queries and keys; empty when there are none. */
  readonly qkNorms: readonly string[]
  /** Every bias a layer may have, full name within the layer; whether it has depends on the config. */
  readonly biases: readonly string[]
  /** Tensors that a LLaMA Pro block sets to zero (weights, and their biases where present), full name within the layer. */
  readonly identityZeros: readonly string[]
  readonly forward: {
    /** Queries and keys are RMS-normalised per head before RoPE. */
    readonly qkNorm: boolean
  }
  /** The tensors each layer must have under this config, with their shapes. */
  layerTensors(config: ModelConfig): readonly LayerTensor[]
  /**
   * The config of a model with `sources.length` layers; layer `j` takes its attention type from layer `sources[j]` of
   * the base. Only what depends on depth is changed; every other key keeps its spelling and its value.
   */
  deepenConfig(
    rawConfig: Readonly<Record<string, unknown>>,
    sources: readonly number[],
  ): Record<string, unknown>
}
