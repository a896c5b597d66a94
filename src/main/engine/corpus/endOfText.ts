/** @file The token that stands after a document. */
import { join } from 'node:path'
import { shownValue } from '@shared/text'
import { objectOf, readObject } from '@system/peek'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Tokenizer } from '../evaluation/tokenizer'

/** Far more than such a file has. */
const MAX_BYTES = 16e6

export interface EndOfText {
  /** `null` where the model names none. */
  readonly id: number | null
  /** What a person should know of it, a sentence each. */
  readonly remarks: readonly string[]
}

/**
 * Finds a model's end-of-text token: `eos_token_id` of `config.json` (the first of several), else that of
 * `generation_config.json`, else `eos_token` as the tokenizer's files name it.
 */
export async function findEndOfText(
  { path, rawConfig, config: { vocabSize } }: Checkpoint,
  tokenizer: Tokenizer,
  signal: AbortSignal,
): Promise<EndOfText> {
  const remarks: string[] = []
  const read = (name: string) => readObject(join(path, name), MAX_BYTES)
  const isToken = (id: unknown): id is number =>
    typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize
  for (const [name, fields] of [
    ['config.json', rawConfig],
    ['generation_config.json', await read('generation_config.json')],
  ] as const) {
    const given = fields?.['eos_token_id']
    const id: unknown = Array.isArray(given) ? given[0] : given
    if (isToken(id)) return { id, remarks }
    if (id !== undefined && id !== null) {
      remarks.push(
        `eos_token_id of ${name} is ${shownValue(id)}, which is no token of the model, and is passed over.`,
      )
    }
  }
  for (const name of ['tokenizer_config.json', 'special_tokens_map.json']) {
    const given = (await read(name))?.['eos_token']
    const token = objectOf(given)?.['content'] ?? given
    if (typeof token !== 'string' || token === '') continue
    const [ids] = (await tokenizer.encode([token], { signal })).ids
    if (ids?.length === 1 && isToken(ids[0])) return { id: ids[0], remarks }
  }
  remarks.push(
    'The model names no end-of-text token (eos_token_id): documents follow each other without one.',
  )
  return { id: null, remarks }
}
