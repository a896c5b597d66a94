import type { AppErrorData } from './errors'
import type { Method } from './methods'

/** What a checkpoint is; the names are those of the command line's JSON. */
export interface ModelSummary {
  readonly path: string
  /** `architectures[0]` of the config, `LlamaForCausalLM` for instance. */
  readonly architecture: string
  readonly model_type: string
  /** False when layers of this architecture cannot be predicted or copied here. */
  readonly supported: boolean
  /** Why it is not supported. */
  readonly refusal?: AppErrorData
  readonly num_hidden_layers: number
  readonly hidden_size: number
  readonly intermediate_size: number
  /** Of layers that have experts in place of one MLP; only where the model has such layers. */
  readonly experts?: ExpertSummary
  readonly num_attention_heads: number
  readonly num_key_value_heads: number
  readonly vocab_size: number
  readonly max_position_embeddings: number | null
  readonly tie_word_embeddings: boolean
  /** What type each layer is of, in words, where they are not all of one; absent otherwise. */
  readonly layer_types?: readonly string[]
  /**
   * What its layers have that is not computed here, to be read after "layers have": the model can be grown, and nothing
   * that runs it can be done. Absent where all is computed.
   */
  readonly not_run?: string
  /** Why some methods cannot grow it; absent where all can. */
  readonly refused_methods?: Readonly<Partial<Record<Method, AppErrorData>>>
  readonly parameters: number
  /** Those of the text decoder, of a model that sees or hears as well. */
  readonly decoder_parameters?: number
  readonly parameters_per_layer: number
  /** Parameters by stored element type. */
  readonly dtypes: Readonly<Record<string, number>>
  /** Bytes of all tensors. */
  readonly bytes: number
  readonly shards: readonly { readonly file: string; readonly bytes: number }[]
  readonly tensors: number
  readonly has_tokenizer: boolean
  /** What was overlooked, assumed or left out in reading the files, a sentence each. */
  readonly remarks: readonly string[]
}

/** What can be done with a model that is not run here, and what cannot. */
export const NOT_RUN =
  'it can be grown by methods that copy or predict layers, and exported; not evaluated, tried, fitted or trained here'

/** A mixture of experts. */
export interface ExpertSummary {
  /** Experts of a layer, and how many of them a token passes. */
  readonly count: number
  readonly per_token: number
  /** Neurons of an expert, and of the one that every token passes, where there is one. */
  readonly intermediate_size: number
  readonly shared_intermediate_size: number | null
  /** Layers that have them. */
  readonly layers: number
  /** Parameters that one token is computed with: all that are in no expert, and those of the experts that it passes. */
  readonly active_parameters: number
  /** The same of a layer on average. */
  readonly active_parameters_per_layer: number
}

/** A checkpoint's `config.json`. */
export interface ModelConfigText {
  readonly text: string
  /** Its top-level entries in the file's order, values as JSON. */
  readonly entries: readonly { readonly key: string; readonly value: string }[]
}

/** What a method makes of a model, before anything is computed. */
export interface GrowthPreview {
  readonly layersBefore: number
  readonly layersAfter: number
  readonly parametersBefore: number
  readonly parametersAfter: number
  /** Of all tensors. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Entries of `config.json` that change, values as JSON; `null` for absent. */
  readonly configChanges: readonly {
    readonly key: string
    readonly before: string | null
    readonly after: string | null
  }[]
  /** What is to be said of the plan, a sentence or two each. */
  readonly warnings: readonly string[]
}

/** Tells one model from another, wherever it lies and however it is cut into files. */
export interface ModelIdentity {
  /** SHA-256 over what the config means, every tensor's name, type and shape, and samples of the weights. */
  readonly digest: string
  /** SHA-256 over the architecture and every tensor's name and shape: equal for models that fit in each other's place. */
  readonly shape: string
}
