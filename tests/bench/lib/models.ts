/** @file Synthetic checkpoints for the benchmarks. */
import { writeFile } from 'node:fs/promises'
import { runLesa } from './measure'
import type { BenchContext } from './types'

/** A Llama config of any size. */
export function llamaConfig(shape: {
  readonly hidden: number
  readonly intermediate: number
  readonly heads: number
  readonly keyValueHeads: number
  readonly layers: number
  readonly vocabulary: number
}): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.keyValueHeads,
    num_hidden_layers: shape.layers,
    vocab_size: shape.vocabulary,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    max_position_embeddings: 2048,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
  }
}

/** Small enough for a smoke test, with every kind of tensor. */
export const TINY = {
  hidden: 64,
  intermediate: 96,
  heads: 4,
  keyValueHeads: 2,
  layers: 22,
  vocabulary: 512,
} as const

/** Writes a synthetic checkpoint with the command line. @param like A preset's name, or a config. */
export async function synthesize(
  context: BenchContext,
  out: string,
  like: string | Readonly<Record<string, unknown>>,
  layers: number,
): Promise<void> {
  let source = like
  if (typeof source !== 'string') {
    const file = `${out}.config.json`
    await writeFile(file, JSON.stringify(source))
    source = file
  }
  const args = ['synth', '--like', source, '--layers', String(layers), '--out', out, '--json']
  await runLesa(context, args, { memory: false })
}
