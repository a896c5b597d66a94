/** @file What measuring a model on a text takes: work for progress and estimate, memory for the estimate. */
import type { ModelSummary } from '@shared/model'
import { mlpSize, type ModelConfig } from '../architectures/config'
import { QUERY_CHUNK } from '../decoder/decoderLayer'
import { defaultLimits } from '../decoder/ForwardPass'
import type { ArrayNeed } from '../lib/arrays'
import type { Work } from '../lib/work'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Bytes of English text in a token, for common tokenizers; the demo's small one makes shorter tokens. */
const BYTES_PER_TOKEN = 3.5

/** Attention and the parts between the products cost about half as much again as a product's two operations. */
const OPERATIONS_A_MULTIPLICATION = 3

/** Before the text is tokenised. */
export function tokensOf(textBytes: number): number {
  return textBytes / BYTES_PER_TOKEN
}

/** Whether a model is scored alone, as the base of others, or beside its base. */
export type ScoringRole = 'alone' | 'base' | 'compared'

/** @param base The spec's, if it names one. */
export function roleOf(model: string, base: string | undefined): ScoringRole {
  if (base === undefined) return 'alone'
  return model === base ? 'base' : 'compared'
}

/** Bytes of the hidden states of `tokens`; of two models where they are compared. */
function hiddenBytes({ hiddenSize }: ModelConfig, tokens: number, role: ScoringRole): number {
  return (role === 'alone' ? 1 : 2) * tokens * hiddenSize * FLOAT
}

/** What a pass over `tokens` does, in the layers and in the head; beside a base, in both heads. */
export function scoringWork(
  config: ModelConfig,
  { bytes, parameters_per_layer: perLayer, experts }: ModelSummary,
  tokens: number,
  role: ScoringRole = 'alone',
): { layers: Work; head: Work } {
  const hidden = hiddenBytes(config, tokens, role)
  const passes = Math.max(1, Math.ceil(hidden / defaultLimits(config).hiddenBytes))
  const active = experts?.active_parameters_per_layer ?? perLayer
  const products = (multiplications: number): number =>
    OPERATIONS_A_MULTIPLICATION * multiplications * tokens
  return {
    layers: {
      products: products(active * config.numHiddenLayers),
      converted: passes * bytes,
    },
    head: {
      products: (role === 'compared' ? 2 : 1) * products(config.hiddenSize * config.vocabSize),
    },
  }
}

/** Bytes held together while `tokens` are scored, and whether a GPU would hold them. */
export function scoringMemory(
  config: ModelConfig,
  { parameters_per_layer: perLayer }: ModelSummary,
  tokens: number,
  role: ScoringRole = 'alone',
): { readonly label: string; readonly value: number; readonly onDevice: boolean }[] {
  const { hiddenSize, numAttentionHeads, vocabSize } = config
  const { features, rows } = mlpSize(config)
  const limits = defaultLimits(config)
  const item = (label: string, elements: number, onDevice = false) => ({
    label,
    value: FLOAT * elements,
    onDevice,
  })
  return [
    item('hidden states', Math.min(hiddenBytes(config, tokens, role), limits.hiddenBytes) / FLOAT),
    item('two layers', 2 * perLayer, true),
    // The gate, the product with it and a copy; a chunk of queries' scores before and after the softmax.
    item(
      "a layer's results",
      Math.min(tokens, limits.batchPositions) *
        (3 * features + 2 * (rows - 1) * hiddenSize + 2 * numAttentionHeads * QUERY_CHUNK),
      true,
    ),
    item('part of the embeddings', Math.min(limits.matrixElements, hiddenSize * vocabSize)),
    item('logits', 3 * limits.logits, true),
  ]
}

/** The arrays among that; results of the layers are copied into some, too. */
export function scoringArrays(
  config: ModelConfig,
  summary: ModelSummary,
  tokens: number,
  role: ScoringRole = 'alone',
): ArrayNeed {
  const { hiddenSize, intermediateSize, numAttentionHeads, headDim } = config
  const items = scoringMemory(config, summary, tokens, role)
  return {
    largest: FLOAT * hiddenSize * Math.max(intermediateSize, numAttentionHeads * headDim),
    together: items.reduce((total, { value }) => total + value, 0),
  }
}
