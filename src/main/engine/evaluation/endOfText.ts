/** @file The token that stands after a document, and those that end a text. */
import { join } from 'node:path'
import { shownValue } from '@shared/text'
import { objectOf, readObject } from '@system/peek'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { TokenizerSession } from './tokenizer'

/** Far more than such a file has. */
const MAX_BYTES = 16e6

export interface EndOfText {
  /** `null` where the model names none. */
  readonly id: number | null
  /** Every token that ends a text, `id` first; models that are tuned to answer have several. */
  readonly ids: readonly number[]
  /** What a person should know of it, a sentence each. */
  readonly remarks: readonly string[]
}

/**
 * Finds a model's end-of-text tokens: `eos_token_id` of `config.json` (one or several) and of `generation_config.json`,
 * else `eos_token` as the tokenizer's files name it.
 */
export async function findEndOfText(
  { path, rawConfig, architecture, config: { vocabSize } }: Checkpoint,
  tokenizer: Pick<TokenizerSession, 'encode'>,
  signal: AbortSignal,
): Promise<EndOfText> {
  const remarks: string[] = []
  const { path: section } = architecture.configRules
  const within = section === null ? [] : [section]
  const named = new Set<number>()
  const read = (name: string) => readObject(join(path, name), MAX_BYTES)
  const isToken = (id: unknown): id is number =>
    typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize
  for (const [name, fields] of [
    ['config.json', rawConfig],
    ...within.map((key) => [`config.json, ${key}`, objectOf(rawConfig[key])] as const),
    ['generation_config.json', await read('generation_config.json')],
  ] as const) {
    const given = fields?.['eos_token_id']
    const all: readonly unknown[] = Array.isArray(given) ? given : [given]
    for (const id of all) {
      if (isToken(id)) named.add(id)
      else if (id !== undefined && id !== null) {
        remarks.push(
          `eos_token_id of ${name} is ${shownValue(id)}, which is no token of the model, and is passed over.`,
        )
      }
    }
  }
  const [first] = named
  if (first !== undefined) return { id: first, ids: [...named], remarks }
  for (const name of ['tokenizer_config.json', 'special_tokens_map.json']) {
    const given = (await read(name))?.['eos_token']
    const token = objectOf(given)?.['content'] ?? given
    if (typeof token !== 'string' || token === '') continue
    const [ids] = (await tokenizer.encode([token], { signal })).ids
    if (ids?.length === 1 && isToken(ids[0])) return { id: ids[0], ids: [ids[0]], remarks }
  }
  return { id: null, ids: [], remarks }
}
