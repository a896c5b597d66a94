/** @file A checkpoint's own tokenizer (`tokenizer.json`). */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { AppError } from '@shared/errors'
import { systemCode } from '@system/errors'

/** The largest in use hold some 300,000 tokens with their merges in about 35 MB. */
const MAX_TOKENIZER_BYTES = 512e6

const HINT =
  'Perplexity needs tokenizer.json in the checkpoint folder: copy it from the published model, or save the tokenizer ' +
  'once with transformers, which writes it.'

export interface Tokenizer {
  /** Digest of the files it was made from: equal fingerprints give equal ids. */
  readonly fingerprint: string
  /**
   * The ids of a text, without special tokens at its ends.
   *
   * @throws AppError `bad_tokenizer` when the text holds something the tokenizer has no token for.
   */
  encode(text: string): Int32Array
}

/**
 * Loads a checkpoint folder's tokenizer.
 *
 * @throws AppError `bad_tokenizer` naming the file.
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const file = join(folder, 'tokenizer.json')
  const bytes = await readSmallFile(file)
  if (!bytes) {
    throw new AppError('bad_tokenizer', `The checkpoint has no tokenizer.json: ${folder}`, {
      hint: HINT,
      context: { file },
    })
  }
  const configFile = join(folder, 'tokenizer_config.json')
  const configBytes = await readSmallFile(configFile)
  const tokenizer = construct(
    parseObject(bytes, file),
    configBytes ? parseObject(configBytes, configFile) : {},
    file,
  )
  const hash = createHash('sha256').update(bytes).update('\0')
  if (configBytes) hash.update(configBytes)
  return {
    fingerprint: hash.digest('hex'),
    encode: (text) => encode(tokenizer, text, file),
  }
}

/**
 * Checks that a model has an embedding for every id.
 *
 * @throws AppError `bad_tokenizer`
 */
export function checkIds(ids: Int32Array, vocabSize: number, folder: string): void {
  const outside = ids.find((id) => id < 0 || id >= vocabSize)
  if (outside === undefined) return
  throw new AppError(
    'bad_tokenizer',
    `The tokenizer gives token ${outside}, but the model knows only ${vocabSize}.`,
    {
      hint: 'The tokenizer belongs to another model: use the one the checkpoint was published with.',
      context: {
        file: join(folder, 'tokenizer.json'),
        expected: `ids below ${vocabSize}`,
        actual: String(outside),
      },
    },
  )
}

function construct(
  json: Record<string, unknown>,
  config: Record<string, unknown>,
  file: string,
): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(json, config)
  } catch (cause) {
    const actual = cause instanceof Error ? cause.message : String(cause)
    throw new AppError('bad_tokenizer', `The tokenizer cannot be used: ${actual}`, {
      hint: HINT,
      context: { file, actual },
      cause,
    })
  }
}

function encode(tokenizer: HuggingFaceTokenizer, text: string, file: string): Int32Array {
  // Measured linear in the text's length for every kind of pre-tokenizer, so it is encoded in one piece: cutting it
  // could change the tokens at the cuts.
  const ids: readonly (number | undefined)[] = text === '' ? [] : runEncode(tokenizer, text, file)
  const unknown = ids.findIndex((id) => id === undefined)
  if (unknown !== -1) {
    throw new AppError(
      'bad_tokenizer',
      'The text holds something the tokenizer has no token for.',
      {
        hint: 'Its vocabulary names no unknown token; use a text in the script the model was trained on.',
        context: { file, actual: `token ${unknown} of the text` },
      },
    )
  }
  return Int32Array.from(ids, Number)
}

function runEncode(tokenizer: HuggingFaceTokenizer, text: string, file: string): number[] {
  try {
    return tokenizer.encode(text, { add_special_tokens: false }).ids
  } catch (cause) {
    const actual = cause instanceof Error ? cause.message : String(cause)
    throw new AppError('bad_tokenizer', `The text cannot be tokenised: ${actual}`, {
      hint: HINT,
      context: { file, actual },
      cause,
    })
  }
}

function parseObject(bytes: Uint8Array, file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw badFile(file, cause instanceof Error ? cause.message : 'not JSON', cause)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw badFile(file, 'not a JSON object')
}

/** The file's bytes; `null` when there is none. */
async function readSmallFile(file: string): Promise<Uint8Array | null> {
  try {
    const { size } = await stat(file)
    if (size > MAX_TOKENIZER_BYTES) throw badFile(file, `${size} bytes`)
    return await readFile(file)
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    if (systemCode(cause) === 'ENOENT') return null
    throw badFile(file, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function badFile(file: string, actual: string, cause?: unknown): AppError {
  return new AppError('bad_tokenizer', `A tokenizer file cannot be read: ${actual}`, {
    hint: HINT,
    context: { file, actual },
    ...(cause === undefined ? {} : { cause }),
  })
}
