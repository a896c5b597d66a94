/** How rotary positions are stretched; the names are those of `rope_type` in the config. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      readonly originalMaxPositionEmbeddings: number
    }
  /** A kind the decoder graph does not know: such a model can be grown, but not evaluated. */
  | { readonly type: 'unsupported'; readonly name: string }

/** One view of `config.json`, whatever spelling the file uses, with the architecture's defaults filled in. */
export interface ModelConfig {
  readonly modelType: string
  /** `architectures[0]`, `LlamaForCausalLM` for instance. */
  readonly architectureName: string
  readonly numHiddenLayers: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numAttentionHeads: number
  readonly numKeyValueHeads: number
  readonly headDim: number
  readonly vocabSize: number
  readonly rmsNormEps: number
  readonly hiddenAct: string
  readonly tieWordEmbeddings: boolean
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  readonly maxPositionEmbeddings: number | null
  readonly rope: { readonly theta: number; readonly scaling: RopeScaling }
  /** Window of each layer in tokens, the query itself included; `null` means full attention. */
  readonly windows: readonly (number | null)[]
}

/** The layer's sliding window in tokens (keys `i−W < j ≤ i` are seen), or `null` for full attention. */
export function windowOfLayer(config: ModelConfig, layer: number): number | null {
  return config.windows[layer] ?? null
}
