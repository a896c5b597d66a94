/** @file A text as the tokens that a model goes on from. */
import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { checkIds, type TokenizerSession } from '../evaluation/tokenizer'

export interface PromptTokens {
  readonly ids: Int32Array
  /** About how the text was tokenised. */
  readonly remarks: readonly string[]
}

/**
 * A prompt's tokens, with what the tokenizer puts before a text (a token for its beginning), as transformers has it, but
 * without what it puts behind one: nothing could follow that.
 *
 * @throws AppError `bad_request` for a text of no tokens, `bad_tokenizer`.
 */
export async function promptTokens(
  session: Pick<TokenizerSession, 'encode'>,
  text: string,
  signal: AbortSignal,
): Promise<PromptTokens> {
  const { ids: plain, remarks } = await session.encode([text], { signal })
  const { ids: whole } = await session.encode([text], { signal, special: true })
  const [own = new Int32Array(0), all = new Int32Array(0)] = [plain[0], whole[0]]
  if (own.length === 0) {
    throw new AppError('bad_request', 'The tokenizer finds no token in the prompt.', {
      hint: 'Write some words for the models to go on from.',
      context: { field: 'prompt', expected: 'at least 1 token', actual: '0' },
    })
  }
  const start = startOf(all, own)
  const ids = start === null ? own : all.slice(0, start + own.length)
  return { ids, remarks }
}

/** Where a list stands in another; `null` where it does not. */
function startOf(all: Int32Array, part: Int32Array): number | null {
  for (let start = 0; start + part.length <= all.length; start += 1) {
    if (part.every((id, index) => all[start + index] === id)) return start
  }
  return null
}

/**
 * How many tokens may follow a prompt, of those that are wanted: none beyond what the model was trained for.
 *
 * @throws AppError `bad_request` where the prompt leaves no room, `bad_tokenizer` for an id that the model does not have.
 */
export function roomAfter(
  ids: Int32Array,
  wanted: number,
  { config, path }: Pick<Checkpoint, 'config' | 'path'>,
): number {
  checkIds(ids, config.vocabSize, path)
  const limit = config.maxPositionEmbeddings ?? Infinity
  if (ids.length < limit) return Math.min(wanted, limit - ids.length)
  throw new AppError(
    'bad_request',
    `The prompt has ${ids.length} tokens, and ${basename(path)} was trained for ${limit} positions.`,
    {
      hint: 'Give a shorter prompt.',
      context: {
        file: path,
        field: 'prompt',
        expected: `fewer than ${limit} tokens`,
        actual: String(ids.length),
      },
    },
  )
}
