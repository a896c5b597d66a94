/** @file A checkpoint's own tokenizer (`tokenizer.json`). */
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { shortened } from '@shared/text'
import { availableLibrary, Encoder, timeLimit } from './encoder'
import { readTokenizerFiles, TOKENIZER_HINT, type TokenizerFiles } from './tokenizerFiles'
import type { EncodeAnswer, TokenizerLibrary } from './tokenizerProcess'

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
  /** With what the tokenizer puts around a text, such as a token for its beginning. */
  readonly special?: boolean
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
  /** The same for texts that come one after another: the process is started once, and kept until it is closed. */
  open(): TokenizerSession
}

export interface TokenizerSession {
  /** As {@link Tokenizer.encode}, one call at a time; the remarks are about all texts so far. */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<Tokenized>
  /**
   * The text of each list of tokens, with special tokens as they are written; a character of which bytes are missing is
   * U+FFFD.
   *
   * @throws AppError `bad_tokenizer`
   */
  decode(lists: readonly (readonly number[])[], options?: EncodeOptions): Promise<readonly string[]>
  close(): void
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
  const open = (): TokenizerSession => new Session(files, used)
  return {
    fingerprint: `${used}:${files.digest}`,
    encode: async (texts, options = {}) => {
      options.signal?.throwIfAborted()
      const session = open()
      try {
        return await session.encode(texts, options)
      } finally {
        session.close()
      }
    },
    open,
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

class Session implements TokenizerSession {
  readonly #encoder: Encoder
  readonly #dropped = new Set<string>()

  constructor(
    private readonly files: TokenizerFiles,
    private readonly library: TokenizerLibrary,
  ) {
    const { tokenizer, config, tokens } = files
    this.#encoder = new Encoder({ library, tokenizer, config, tokens })
  }

  async encode(texts: readonly string[], options: EncodeOptions = {}): Promise<Tokenized> {
    const characters = texts.reduce((sum, text) => sum + text.length, 0)
    const { signal = new AbortController().signal, limitMs = timeLimit(characters) } = options
    const { special = false } = options
    const answer = await this.#encoder.encode(texts, { signal, limitMs, special })
    if (answer.state === 'failed') throw this.#refused(answer)
    for (const character of answer.dropped) this.#dropped.add(character)
    return { ids: answer.ids.map((ids) => Int32Array.from(ids)), remarks: this.#remarks() }
  }

  async decode(
    lists: readonly (readonly number[])[],
    options: EncodeOptions = {},
  ): Promise<readonly string[]> {
    const tokens = lists.reduce((sum, ids) => sum + ids.length, 0)
    const { signal = new AbortController().signal, limitMs = timeLimit(tokens) } = options
    const answer = await this.#encoder.decode(lists, { signal, limitMs })
    if (answer.state === 'decoded') return answer.texts
    const actual = shortened(answer.reason, MAX_REASON)
    throw new AppError('bad_tokenizer', `The tokens cannot be read as text: ${actual}`, {
      hint: TOKENIZER_HINT,
      context: { file: this.files.file, actual },
    })
  }

  close(): void {
    this.#encoder.end()
  }

  #refused({ part, reason }: Extract<EncodeAnswer, { state: 'failed' }>): AppError {
    const actual = shortened(reason, MAX_REASON)
    const what = part === 'text' ? 'The text cannot be tokenised' : 'The tokenizer cannot be used'
    return new AppError('bad_tokenizer', `${what}: ${actual}`, {
      hint: part === 'text' ? TEXT_HINT : TOKENIZER_HINT,
      context: { file: this.files.file, actual },
    })
  }

  #remarks(): string[] {
    return [
      ...(this.library === 'native' ? [] : [javaScriptRemark()]),
      ...this.files.remarks,
      ...(this.#dropped.size === 0 ? [] : [droppedRemark([...this.#dropped])]),
    ]
  }
}

const TEXT_HINT =
  'Try another text. A tokenizer whose vocabulary names no unknown token, or whose regular expressions find no end, ' +
  'cannot be used on every text.'

function javaScriptRemark(): string {
  return (
    `The reference's tokenizer library cannot be loaded here (${process.platform} ${process.arch}); its version in ` +
    'JavaScript is used, which gives other tokens for some models, so losses and perplexities may differ from those of other computers.'
  )
}

function droppedRemark(dropped: readonly string[]): string {
  const shown = dropped.slice(0, SHOWN_CHARACTERS).join(' ')
  const more = dropped.length > SHOWN_CHARACTERS ? ' …' : ''
  return `The tokenizer leaves out ${dropped.length} of the text's different characters: ${shown}${more}`
}
