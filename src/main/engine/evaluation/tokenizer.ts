/** @file A checkpoint's own tokenizer (`tokenizer.json`). */
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { shortened } from '@shared/text'
import { availableLibrary, encodeApart, timeLimit } from './encoder'
import { readTokenizerFiles, TOKENIZER_HINT, type TokenizerFiles } from './tokenizerFiles'
import type { TokenizerLibrary } from './tokenizerProcess'

/** Reasons of a library can hold a whole file. */
const MAX_REASON = 300

/** Characters without a token that a remark names. */
const SHOWN_CHARACTERS = 12

export interface Tokenized {
  /** Of each text, without special tokens at its ends. */
  readonly ids: readonly Int32Array[]
  /** What a person should know who takes them for the reference's. */
  readonly remarks: readonly string[]
}

export interface EncodeOptions {
  readonly signal?: AbortSignal
  /** Milliseconds for all texts. */
  readonly limitMs?: number
}

export interface Tokenizer {
  /** Digest of its files and of the library that reads them: equal fingerprints give equal ids. */
  readonly fingerprint: string
  /**
   * The ids of some texts, in a process of its own, which a signal ends at once.
   *
   * @throws AppError `bad_tokenizer` when the library refuses the file or a text, ends its process, or finds no end.
   */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<Tokenized>
}

/**
 * Finds a checkpoint folder's tokenizer. Its library is HuggingFace's own, in JavaScript only where no binary of it can
 * be loaded.
 *
 * @throws AppError `bad_tokenizer` naming the file.
 */
export async function loadTokenizer(
  folder: string,
  library?: TokenizerLibrary,
): Promise<Tokenizer> {
  const files = await readTokenizerFiles(folder)
  const used = library ?? (await availableLibrary())
  return {
    fingerprint: `${used}:${files.digest}`,
    encode: (texts, options = {}) => encode(files, used, texts, options),
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

async function encode(
  files: TokenizerFiles,
  library: TokenizerLibrary,
  texts: readonly string[],
  options: EncodeOptions,
): Promise<Tokenized> {
  const { file, tokenizer, config, tokens } = files
  const characters = texts.reduce((sum, text) => sum + text.length, 0)
  const { signal = new AbortController().signal, limitMs = timeLimit(characters) } = options
  const answer = await encodeApart(
    { library, tokenizer, config, tokens, texts },
    { signal, limitMs },
  )
  if (answer.state === 'failed') {
    const actual = shortened(answer.reason, MAX_REASON)
    const what =
      answer.part === 'text' ? 'The text cannot be tokenised' : 'The tokenizer cannot be used'
    throw new AppError('bad_tokenizer', `${what}: ${actual}`, {
      hint: answer.part === 'text' ? TEXT_HINT : TOKENIZER_HINT,
      context: { file, actual },
    })
  }
  return {
    ids: answer.ids.map((ids) => Int32Array.from(ids)),
    remarks: [
      ...(library === 'native' ? [] : [javaScriptRemark()]),
      ...files.remarks,
      ...(answer.dropped.length === 0 ? [] : [droppedRemark(answer.dropped)]),
    ],
  }
}

const TEXT_HINT =
  'Try another text. A tokenizer whose vocabulary names no unknown token, or whose regular expressions find no end, ' +
  'cannot be used on every text.'

function javaScriptRemark(): string {
  return (
    `The reference's tokenizer library cannot be loaded here (${process.platform} ${process.arch}); its version in ` +
    'JavaScript is used, which gives other tokens for some models, so the perplexity may differ from that of other computers.'
  )
}

function droppedRemark(dropped: readonly string[]): string {
  const shown = dropped.slice(0, SHOWN_CHARACTERS).join(' ')
  const more = dropped.length > SHOWN_CHARACTERS ? ' …' : ''
  return `The tokenizer leaves out ${dropped.length} of the text's different characters: ${shown}${more}`
}
