import { TargetScores } from '../decoder/head'
import type { LogitsPart } from './CachedDecoder'
import { largest } from './sampling'

/** A token that could come next. */
export interface Candidate {
  readonly id: number
  /** That the model gives it. */
  readonly probability: number
}

/** How many of the likeliest are told. */
export const CANDIDATES = 5

/** Of some positions, the likeliest next tokens and the probability of the one that followed, from parts of the logits. */
export class NextTokens {
  readonly #scores: TargetScores
  readonly #best: { readonly id: number; readonly logit: number }[][]

  /** @param targets The token that follows each position. */
  constructor(private readonly targets: Int32Array) {
    this.#scores = new TargetScores(targets.length)
    this.#best = Array.from(targets, () => [])
  }

  /** Adds the logits of a part of the vocabulary, `[positions, end − start]`. */
  add({ logits, start, end }: LogitsPart): void {
    const width = end - start
    for (const [row, target] of this.targets.entries()) {
      const here = logits.subarray(row * width, (row + 1) * width)
      const top = largest(here, CANDIDATES)
      const max = here[top[0] ?? 0] ?? NaN
      let sum = 0
      for (const logit of here) sum += Math.exp(logit - max)
      const isHere = target >= start && target < end
      this.#scores.add(row, max, sum, isHere ? (here[target - start] ?? NaN) : null)
      const found = top.map((index) => ({ id: start + index, logit: here[index] ?? NaN }))
      this.#best[row] = [...(this.#best[row] ?? []), ...found]
        .sort((a, b) => b.logit - a.logit || a.id - b.id)
        .slice(0, CANDIDATES)
    }
  }

  /** p of the token that followed. */
  probability(position: number): number {
    return Math.exp(-this.#scores.nll(position))
  }

  /** The likeliest first, the first of equals. */
  candidates(position: number): Candidate[] {
    const all = this.#scores.logSum(position)
    return (this.#best[position] ?? []).map(({ id, logit }) => ({
      id,
      probability: Math.exp(logit - all),
    }))
  }
}
