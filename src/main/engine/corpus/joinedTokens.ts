/** @file The tokens of documents as one stream, and what is kept of it in figures. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Piece } from './documents'

/** What is known of a part's files once they are tokenised. */
export const factsSchema = z.object({
  tokens: z.int().min(0),
  /** Of the tokens' bytes. */
  sha256: z.string(),
  /** -1 where there is no token. */
  largestId: z.int().min(-1),
  files: z.array(
    z.object({
      documents: z.int().min(0),
      tokens: z.int().min(0),
      /** Documents without a token, which are left out. */
      empty: z.int().min(0),
      /** Whether a document was too long to be tokenised in one piece. */
      cut: z.boolean(),
    }),
  ),
  remarks: z.array(z.string()),
})
export type PartFacts = z.infer<typeof factsSchema>
export type FileFacts = PartFacts['files'][number]

export interface PlacedPiece extends Piece {
  /** Which of the part's files it is of. */
  readonly file: number
}

/** Puts the tokens of a part's documents one after another, and counts them. */
export class JoinedTokens {
  documents = 0
  tokens = 0
  #largestId = -1
  readonly #hash = createHash('sha256')
  /** Tokens of the document that has begun. */
  #begun = 0
  readonly #files: FileFacts[]

  constructor(
    files: number,
    private readonly endOfText: number | null,
  ) {
    this.#files = Array.from({ length: files }, () => ({
      documents: 0,
      tokens: 0,
      empty: 0,
      cut: false,
    }))
  }

  /** The pieces' tokens, with the end-of-text token after each document that has any. To be asked in order. */
  add(pieces: readonly PlacedPiece[], ids: readonly Int32Array[]): Int32Array {
    const longest = ids.reduce((sum, each) => sum + each.length + 1, 0)
    const joined = new Int32Array(longest)
    let length = 0
    for (const [index, { file, ends }] of pieces.entries()) {
      const own = ids[index]!
      joined.set(own, length)
      length += own.length
      this.#begun += own.length
      const facts = this.#files[file]!
      facts.tokens += own.length
      if (!ends) facts.cut = true
      else if (this.#begun === 0) facts.empty += 1
      else {
        facts.documents += 1
        this.documents += 1
        if (this.endOfText !== null) {
          joined[length] = this.endOfText
          length += 1
          facts.tokens += 1
        }
      }
      if (ends) this.#begun = 0
    }
    const result = joined.subarray(0, length)
    for (const id of result) this.#largestId = Math.max(this.#largestId, id)
    this.#hash.update(result)
    this.tokens += length
    return result
  }

  facts(remarks: readonly string[]): PartFacts {
    return {
      tokens: this.tokens,
      sha256: this.#hash.digest('hex'),
      largestId: this.#largestId,
      files: this.#files,
      remarks: [...remarks],
    }
  }
}
