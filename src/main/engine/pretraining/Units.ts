import { mapEvents } from '../lib/reporting'
import type { Portion } from './settings'

/** Counts units of work. */
export class Units {
  #done = 0

  constructor(private readonly total: number) {}

  add(units: number): Portion {
    this.#done += units
    return { done: Math.min(this.#done, this.total), total: this.total }
  }

  count<R>(inner: AsyncGenerator<number, R>): AsyncGenerator<Portion, R> {
    return mapEvents(inner, (units) => this.add(units))
  }
}
