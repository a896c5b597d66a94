/** @file When a training is lost. */
import type { Curve } from '@shared/pretraining'

/** Steps whose mean loss is looked at: one bad batch moves it by a tenth of what it is off by. */
const LOOKED_AT = 10

/** Above the start by this share of it, and by this many nats, at least. */
const SHARE = 0.5
const NATS = 1

/** Whether a loss is far above that of the start: a half more, and a perplexity of at least e times as much. */
export function isFarAbove(loss: number, start: number): boolean {
  return !(loss <= start + Math.max(NATS, SHARE * start))
}

/**
 * Looks at the training loss for signs that it is lost. Far above the first step's it may be for another reason as well:
 * the text has become harder. Whether it has is for the caller to find out on a text that stays the same; if so, the
 * loss is compared with what it is now from there on.
 */
export class DivergenceWatch {
  #start: number | null = null

  /** Whether the last steps' loss is far above that of the start. */
  isSuspicious(loss: Curve): boolean {
    const recent = loss.slice(-LOOKED_AT)
    if (recent.length < LOOKED_AT) return false
    this.#start ??= loss[0]?.[1] ?? NaN
    return isFarAbove(mean(recent), this.#start)
  }

  /** The text has become harder: what it costs now is the new start. */
  accept(loss: Curve): void {
    this.#start = mean(loss.slice(-LOOKED_AT))
  }
}

function mean(curve: Curve): number {
  return curve.reduce((sum, [, value]) => sum + value, 0) / curve.length
}
