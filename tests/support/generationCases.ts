import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TinyCheckpointOptions } from './checkpoints'
import { LOGIT_CASES } from './logitCases'

/** What `tests/fixtures/generation/<name>.json` holds for one case. */
export interface GenerationReference {
  readonly what: string
  readonly prompt: readonly number[]
  /** What `generate` wrote greedily. */
  readonly tokens: readonly number[]
  /** Before each token, `[tokens, vocab]`. */
  readonly logits: readonly (readonly number[])[]
}

/**
 * Of the checkpoints whose logits are known, those that a cache has to get right: grouped queries with biases, windows
 * that are shorter than the text, norms of queries and keys, fused tensors, and angles that change for all positions
 * where the text becomes longer than 64 tokens.
 */
export const GENERATION_CASES: Readonly<Record<string, Omit<TinyCheckpointOptions, 'dir'>>> =
  Object.fromEntries(
    ['llama', 'mistral', 'qwen2', 'qwen3', 'phi3', 'rope-longrope-long'].map((name) => [
      name,
      LOGIT_CASES[name] ?? {},
    ]),
  )

export function generationReference(name: string): GenerationReference {
  const file = join(resolve(import.meta.dirname, '../fixtures/generation'), `${name}.json`)
  return JSON.parse(readFileSync(file, 'utf8')) as GenerationReference
}
