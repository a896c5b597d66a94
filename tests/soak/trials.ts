import type { Random } from './chance'

/** What a campaign gets. */
export interface Trials {
  /** The project's folder, built. */
  readonly root: string
  /** The program's tokenizer process, bundled. */
  readonly tokenizer: string
  /** A folder of its own. */
  readonly work: string
  /** How many trials; `null` for the campaign's own number. */
  readonly count: number | null
  readonly random: Random
  /** Whether its time is used up. */
  isOver(): boolean
  passed(): void
  failed(what: string): void
}

/** Runs the trials and returns figures of its own. */
export type Campaign = (trials: Trials) => Promise<Readonly<Record<string, unknown>>>

export interface Figures extends Readonly<Record<string, unknown>> {
  readonly campaign: string
  readonly seed: number
  readonly tried: number
  readonly failed: number
  readonly failures: readonly string[]
}
