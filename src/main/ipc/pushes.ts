import type { PushName, Pushes, Unsubscribe } from '@shared/contract'

type PushListener = <P extends PushName>(name: P, payload: Pushes[P]) => void

/** Carries pushes from whoever makes them to whatever hosts serve windows. */
export class PushHub {
  readonly #listeners = new Set<PushListener>()

  emit<P extends PushName>(name: P, payload: Pushes[P]): void {
    for (const listener of this.#listeners) listener(name, payload)
  }

  subscribe(listener: PushListener): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
