import type { TokenizerSession } from '../evaluation/tokenizer'

/** Tokens before a piece that are decoded with it: some tokenizers write a token differently where a text begins. */
const BEFORE = 6

/** What a tokenizer puts for a character of which bytes are missing. */
const UNFINISHED = '\ufffd'

/** Tokens of one character at most, in a tokenizer that falls back to bytes. */
const LONGEST = 4

type Decoder = Pick<TokenizerSession, 'decode'>

/**
 * Text of tokens that come one after another: a token's piece is what it adds to the text before it. A character that
 * lies in several tokens belongs to the last of them; the others' pieces are empty.
 */
export class TextPieces {
  /** Tokens whose text has been given out, then those that wait for the rest of a character. */
  #given: number[]
  #waiting: number[] = []

  /** @param prompt What stands before the first piece. */
  constructor(
    private readonly tokenizer: Decoder,
    prompt: ArrayLike<number>,
    private readonly signal: AbortSignal,
  ) {
    this.#given = Array.from(prompt).slice(-BEFORE)
  }

  /** The text that one more token adds. */
  async add(id: number): Promise<string> {
    this.#waiting.push(id)
    const piece = await this.#rest()
    // What is no beginning of a character stays one for good.
    if (piece.endsWith(UNFINISHED) && this.#waiting.length < LONGEST) return ''
    this.#take()
    return piece
  }

  /** The text that nothing more will complete, at the end. */
  async finish(): Promise<string> {
    const piece = this.#waiting.length === 0 ? '' : await this.#rest()
    this.#take()
    return piece
  }

  async #rest(): Promise<string> {
    const all = [...this.#given, ...this.#waiting]
    const [before = '', after = ''] = await this.tokenizer.decode([this.#given, all], {
      signal: this.signal,
    })
    return after.slice(before.length)
  }

  #take(): void {
    this.#given = [...this.#given, ...this.#waiting].slice(-BEFORE)
    this.#waiting = []
  }
}

/** Text of single tokens, each in its place: what it would add to the tokens before it. */
export async function piecesAt(
  tokenizer: Decoder,
  places: readonly { readonly before: readonly number[]; readonly ids: readonly number[] }[],
  signal: AbortSignal,
): Promise<string[][]> {
  const lists = places.flatMap(({ before, ids }) => {
    const given = before.slice(-BEFORE)
    return [given, ...ids.map((id) => [...given, id])]
  })
  const texts = await tokenizer.decode(lists, { signal })
  let at = 0
  return places.map(({ ids }) => {
    const [given = '', ...whole] = texts.slice(at, at + 1 + ids.length)
    at += 1 + ids.length
    return whole.map((text) => text.slice(given.length))
  })
}
