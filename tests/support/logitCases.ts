import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TinyCheckpointOptions } from './checkpoints'

/** What `tests/fixtures/logits/<name>.json` holds for one case. */
export interface LogitReference {
  readonly what: string
  readonly ids: readonly number[]
  readonly positions: readonly number[]
  /** `[positions, vocab]`. */
  readonly logits: readonly (readonly number[])[]
  /** −ln p of each token but the first, in float64. */
  readonly nll: readonly number[]
}

const ROPE_LLAMA3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  // Of the head's frequencies one stays, two are blended, the rest are slowed down.
  original_max_position_embeddings: 64,
}

/**
 * Small checkpoints, one for each variation of the forward pass, whose logits were computed with transformers. The
 * longest sequence has more tokens than one chunk of queries, and more than every window.
 */
export const LOGIT_CASES: Readonly<Record<string, Omit<TinyCheckpointOptions, 'dir'>>> = {
  /** llama3 rope scaling, all biases, heads wider than hidden / heads. */
  llama: {
    architecture: 'llama',
    headDim: 16,
    attentionBias: true,
    mlpBias: true,
    config: { rope_scaling: ROPE_LLAMA3, max_position_embeddings: 512 },
    seed: 11,
  },
  /** A window shorter than the sequence in every layer. */
  mistral: { architecture: 'mistral', kvHeads: 1, config: { sliding_window: 20 }, seed: 12 },
  /** Biases on q, k and v, tied embeddings, a window in the later layers, F16 in shards. */
  qwen2: {
    architecture: 'qwen2',
    dtype: 'F16',
    shards: 3,
    tieWordEmbeddings: true,
    config: { use_sliding_window: true, sliding_window: 12, max_window_layers: 2 },
    seed: 13,
  },
  /** q/k norms, layer types, linear rope scaling in the newer spelling, no grouping. */
  qwen3: {
    architecture: 'qwen3',
    dtype: 'F32',
    headDim: 24,
    kvHeads: 4,
    config: {
      rope_theta: undefined,
      rope_parameters: { rope_type: 'linear', rope_theta: 50_000, factor: 2 },
      use_sliding_window: true,
      sliding_window: 130,
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
    },
    seed: 14,
  },
  /** Fused tensors, grouped queries, a window shorter than the sequence. */
  phi3: { architecture: 'phi3', shards: 2, config: { sliding_window: 24 }, seed: 15 },
}

export function logitReference(name: string): LogitReference {
  const file = join(resolve(import.meta.dirname, '../fixtures/logits'), `${name}.json`)
  return JSON.parse(readFileSync(file, 'utf8')) as LogitReference
}
