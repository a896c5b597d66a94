/** Runs actions one after another, in the order in which they were given. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(action: () => Promise<T> | T): Promise<T> {
    const next = this.#last.then(action)
    // The next one starts whatever became of this one.
    this.#last = next.catch(() => undefined)
    return next
  }

  /** Resolves when everything given so far has ended. */
  async idle(): Promise<void> {
    await this.#last
  }
}
