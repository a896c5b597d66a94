/** A run of a training graph should last about this long: a run copies its state, and cannot be stopped. */
const RUN_MS = 1000
export const MAX_STEPS_A_RUN = 1024

/** The first run finds the pace. */
const FIRST_STEPS = 8

/** How many steps a run should take, from the time that those of the last one took. */
export class Pace {
  #msPerStep: number | null = null

  get steps(): number {
    const byTime = this.#msPerStep === null ? FIRST_STEPS : Math.round(RUN_MS / this.#msPerStep)
    return Math.max(1, Math.min(byTime, MAX_STEPS_A_RUN))
  }

  note(steps: number, ms: number): void {
    this.#msPerStep = ms / steps
  }
}
