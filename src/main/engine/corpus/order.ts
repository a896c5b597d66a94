/** @file Which windows are trained on, and when. Pure: any step can be asked for without those before it. */
import type { TextOrder } from '@shared/pretraining'
import { Random } from '../lib/random'

export interface WindowSplit {
  /** Windows that are trained on: those from 0 on. */
  readonly train: number
  /** Windows that are measured on: those after them. */
  readonly held: number
}

/** Holds back the last `share` of the windows: at least one where any is asked for, and never all. */
export function splitWindows(count: number, share: number): WindowSplit {
  if (share <= 0 || count < 2) return { train: count, held: 0 }
  const held = Math.min(count - 1, Math.max(1, Math.round(count * share)))
  return { train: count - held, held }
}

/**
 * The order in which windows are trained on: all of them once, then all of them again. `shuffled` puts each of these
 * epochs into an order of its own, which the seed decides.
 */
export class WindowOrder {
  #epoch = -1
  #permutation: Uint32Array = new Uint32Array(0)

  /** @param count Of the windows, at least one. */
  constructor(
    private readonly count: number,
    private readonly order: TextOrder,
    private readonly seed: number,
  ) {}

  /** Which window is the stream's `position`-th, counted from 0: window `j` of step `s` is at `s · batch + j`. */
  at(position: number): number {
    const index = position % this.count
    if (this.order === 'sequential') return index
    const epoch = Math.floor(position / this.count)
    if (epoch !== this.#epoch) {
      const windows = Uint32Array.from({ length: this.count }, (_, window) => window)
      this.#permutation = new Random(this.seed, 'order', epoch).shuffle(windows)
      this.#epoch = epoch
    }
    return this.#permutation[index]!
  }
}
