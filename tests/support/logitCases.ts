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
  /** Beyond the trained length, where the base grows with the sequence. */
  'rope-dynamic': {
    headDim: 16,
    config: { max_position_embeddings: 64, rope_scaling: { type: 'dynamic', factor: 2 } },
    seed: 16,
  },
  /** As published: the factor, and the length before it. */
  'rope-yarn': {
    architecture: 'qwen2',
    headDim: 16,
    config: {
      max_position_embeddings: 32,
      rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 },
    },
    seed: 17,
  },
  /** Everything that may be said. */
  'rope-yarn-mscale': {
    headDim: 32,
    config: {
      max_position_embeddings: 256,
      rope_theta: undefined,
      rope_parameters: {
        rope_type: 'yarn',
        rope_theta: 1e6,
        factor: 8,
        beta_fast: 4,
        beta_slow: 0.5,
        mscale: 1.5,
        mscale_all_dim: 0.5,
        truncate: false,
        original_max_position_embeddings: 64,
      },
    },
    seed: 18,
  },
  /** The factor left to the two lengths, and an attention factor. */
  'rope-yarn-attention': {
    architecture: 'qwen3',
    headDim: 24,
    config: {
      max_position_embeddings: 128,
      original_max_position_embeddings: 32,
      rope_scaling: { rope_type: 'yarn', factor: null, attention_factor: 1.3 },
    },
    seed: 19,
  },
  /** Phi-3's first name for it, with half a head left as it is; beyond the original length. */
  'rope-longrope-long': {
    architecture: 'phi3',
    headDim: 16,
    hidden: 64,
    config: {
      max_position_embeddings: 256,
      original_max_position_embeddings: 64,
      partial_rotary_factor: 0.5,
      rope_scaling: {
        type: 'su',
        short_factor: [1, 1.1, 1.2, 1.5],
        long_factor: [1, 1.5, 3, 8],
        // transformers 5.18 asks for it here under this name, and goes by the one above.
        original_max_position_embeddings: 4096,
      },
    },
    seed: 20,
  },
  /** Another of its names, within the original length, which is not in the config. */
  'rope-longrope-short': {
    architecture: 'phi3',
    headDim: 16,
    hidden: 64,
    config: {
      max_position_embeddings: 131_072,
      partial_rotary_factor: 0.75,
      rope_scaling: {
        type: 'yarn',
        short_factor: [1, 1.1, 1.2, 1.5, 2, 2.5],
        long_factor: [1, 1.5, 3, 8, 16, 20],
      },
    },
    seed: 21,
  },
  /** In another family, with its own original length, factor and attention factor. */
  'rope-longrope-llama': {
    headDim: 8,
    config: {
      max_position_embeddings: 256,
      rope_scaling: {
        rope_type: 'longrope',
        short_factor: [1, 1.1, 1.2, 1.5],
        long_factor: [1, 1.5, 3, 8],
        original_max_position_embeddings: 32,
        factor: 3,
        attention_factor: 1.1,
      },
    },
    seed: 22,
  },
  'act-gelu': { config: { hidden_act: 'gelu' }, seed: 23 },
  'act-gelu-new': { config: { hidden_act: 'gelu_new' }, seed: 24 },
  'act-gelu-fast': { config: { hidden_act: 'gelu_fast' }, seed: 25 },
  'act-gelu-tanh': { config: { hidden_act: 'gelu_pytorch_tanh' }, seed: 26 },
  'act-quick-gelu': { config: { hidden_act: 'quick_gelu' }, seed: 27 },
  'act-relu': { config: { hidden_act: 'relu' }, seed: 28 },
  'act-relu2': { config: { hidden_act: 'relu2' }, seed: 29 },
}

export function logitReference(name: string): LogitReference {
  const file = join(resolve(import.meta.dirname, '../fixtures/logits'), `${name}.json`)
  return JSON.parse(readFileSync(file, 'utf8')) as LogitReference
}
