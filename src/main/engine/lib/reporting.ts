import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Turns work that reports by callback into a generator: each report waits until it has been taken, which also gives the
 * event loop a turn in which a cancel can arrive.
 */
export async function* reporting<E, T>(
  signal: AbortSignal,
  work: (report: (event: E) => Promise<void>) => Promise<T>,
): AsyncGenerator<E, T> {
  let offered: { readonly event: E; readonly taken: () => void } | null = null
  let wake = (): void => undefined
  let finished = false
  const report = async (event: E): Promise<void> => {
    await nextTurn()
    signal.throwIfAborted()
    await new Promise<void>((taken) => {
      offered = { event, taken }
      wake()
    })
  }
  const result = work(report).finally(() => {
    finished = true
    wake()
  })
  // Handled by the await below; until then a failure must not count as unhandled.
  result.catch(() => undefined)
  for (;;) {
    const current = offered as { readonly event: E; readonly taken: () => void } | null
    if (current) {
      offered = null
      yield current.event
      current.taken()
    } else if (finished) {
      return await result
    } else {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}

/** The same generator with other events; ending it ends the one inside. */
export async function* mapEvents<E, F, R>(
  inner: AsyncGenerator<E, R>,
  map: (event: E) => F,
): AsyncGenerator<F, R> {
  let next: IteratorResult<E, R> | null = null
  try {
    for (;;) {
      next = await inner.next()
      if (next.done) return next.value
      yield map(next.value)
    }
  } finally {
    if (next?.done !== true) await inner.return(undefined as never)
  }
}
