/**
 * @file Entry of a process of its own (in Electron: a thread) that tokenises texts, and makes texts of tokens, until it is
 * ended. The library is native code: what it is given may have no end, or end the process it runs in, and neither may
 * happen to the engine.
 */
import { parentPort } from 'node:worker_threads'

/** `native` is the reference implementation, `javascript` what there is where no binary of it can be loaded. */
export type TokenizerLibrary = 'native' | 'javascript'

/** A token beyond those of `tokenizer.json`; flags that are absent are the library's own. */
export interface ExtraToken {
  readonly content: string
  readonly special: boolean
  readonly single_word?: boolean
  readonly lstrip?: boolean
  readonly rstrip?: boolean
  readonly normalized?: boolean
}

export interface TokenizerSource {
  readonly library: TokenizerLibrary
  /** `tokenizer.json`, and `tokenizer_config.json` as far as it is there. */
  readonly tokenizer: string
  readonly config: string
  readonly tokens: readonly ExtraToken[]
}

/** What a process is told first. */
export interface EncodeRequest extends TokenizerSource, EncodeWork {}

/** Texts to make tokens of. */
export interface EncodeWork {
  readonly texts: readonly string[]
  /** With what the tokenizer puts around a text, such as a token for its beginning. */
  readonly special?: boolean
}

/** Lists of tokens to make a text of each. */
export interface DecodeWork {
  readonly lists: readonly (readonly number[])[]
}

/** What it is told after that, for the same tokenizer; the first can be to decode too. */
export type FurtherRequest = EncodeWork | DecodeWork
export type FirstRequest = TokenizerSource & FurtherRequest

export interface DecodeDone {
  readonly state: 'decoded'
  readonly texts: readonly string[]
}

export type EncodeAnswer =
  | {
      readonly state: 'done'
      readonly ids: readonly Uint32Array[]
      /** Characters of the texts, without blanks and control characters, that alone give no token. */
      readonly dropped: readonly string[]
    }
  | { readonly state: 'failed'; readonly part: 'tokenizer' | 'text'; readonly reason: string }

/** Texts that cross into the library at once; it spreads them over the processor's cores. */
const BATCH = 512

interface Library {
  readonly encode: (texts: string[], special: boolean) => Promise<readonly (readonly number[])[]>
  /** Special tokens are in the texts as they are written. */
  readonly decode: (lists: readonly (readonly number[])[]) => Promise<readonly string[]>
}

async function load(request: TokenizerSource): Promise<Library> {
  if (request.library === 'native') {
    const { AddedToken, Tokenizer } = await import('@anush008/tokenizers')
    const tokenizer = Tokenizer.fromString(request.tokenizer)
    tokenizer.disableTruncation()
    tokenizer.disablePadding()
    tokenizer.addAddedTokens(
      request.tokens.map(({ content, special, single_word, lstrip, rstrip, normalized }) => {
        const options = {
          ...(single_word === undefined ? {} : { singleWord: single_word }),
          ...(lstrip === undefined ? {} : { leftStrip: lstrip }),
          ...(rstrip === undefined ? {} : { rightStrip: rstrip }),
          ...(normalized === undefined ? {} : { normalized }),
        }
        return new AddedToken(content, special, options)
      }),
    )
    return {
      encode: async (texts, special) => {
        const encodings = await tokenizer.encodeBatch(texts, { addSpecialTokens: special })
        return encodings.map((each) => each.getIds())
      },
      decode: (lists) =>
        tokenizer.decodeBatch(
          lists.map((ids) => [...ids]),
          false,
        ),
    }
  }
  const { Tokenizer } = await import('@huggingface/tokenizers')
  const tokenizer = new Tokenizer(
    JSON.parse(request.tokenizer) as object,
    JSON.parse(request.config) as object,
  )
  return {
    encode: (texts, special) =>
      Promise.resolve(
        texts.map((text) => {
          // Where it knows no token it says so by `undefined`, which the reference leaves out.
          const ids: readonly (number | undefined)[] =
            text === '' ? [] : tokenizer.encode(text, { add_special_tokens: special }).ids
          return ids.flatMap((id) => id ?? [])
        }),
      ),
    decode: (lists) =>
      Promise.resolve(
        lists.map((ids) =>
          ids.length === 0
            ? ''
            : tokenizer.decode([...ids], {
                skip_special_tokens: false,
                clean_up_tokenization_spaces: false,
              }),
        ),
      ),
  }
}

async function encodeAll(
  { encode }: Library,
  texts: readonly string[],
  special = false,
): Promise<Uint32Array[]> {
  const all: Uint32Array[] = []
  for (let start = 0; start < texts.length; start += BATCH) {
    for (const ids of await encode(texts.slice(start, start + BATCH), special)) {
      all.push(Uint32Array.from(ids))
    }
  }
  return all
}

/** The tokenizer that was last loaded, and of which characters is known whether they alone give a token. */
let current: { readonly library: Library; readonly dropped: Map<string, boolean> } | null = null

async function answer(request: FirstRequest | FurtherRequest): Promise<EncodeAnswer | DecodeDone> {
  let part: 'tokenizer' | 'text' = 'tokenizer'
  try {
    if ('library' in request) current = { library: await load(request), dropped: new Map() }
    if (!current) throw new Error('no tokenizer was named')
    const { library, dropped } = current
    part = 'text'
    if ('lists' in request) return { state: 'decoded', texts: await library.decode(request.lists) }
    const ids = await encodeAll(library, request.texts, request.special)
    const characters = new Set<string>()
    for (const text of request.texts) for (const character of text) characters.add(character)
    const visible = [...characters].filter((character) => !/^[\s\p{C}]$/u.test(character))
    const unknown = visible.filter((character) => !dropped.has(character))
    const alone = await encodeAll(library, unknown)
    for (const [index, character] of unknown.entries()) {
      dropped.set(character, alone[index]?.length === 0)
    }
    return { state: 'done', ids, dropped: visible.filter((character) => dropped.get(character)) }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { state: 'failed', part, reason }
  }
}

const thread = parentPort
if (thread) {
  thread.on('message', (request: FirstRequest | FurtherRequest) => {
    void answer(request).then((message) => thread.postMessage(message))
  })
} else {
  process.on('message', (request: FirstRequest | FurtherRequest) => {
    void answer(request).then((message) => process.send?.(message))
  })
  // Ending politely would wait for the library.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  // Ctrl-C in a terminal reaches this process too, but the engine decides.
  process.on('SIGINT', () => {})
}
