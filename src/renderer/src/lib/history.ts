/** What has been, is, and was undone; oldest past first, next future first. */
export interface History<T> {
  readonly past: readonly T[]
  readonly present: T
  readonly future: readonly T[]
}

/** More steps than anyone walks back. */
const MAX_STEPS = 200

export function newHistory<T>(present: T): History<T> {
  return { past: [], present, future: [] }
}

/** A step forward. `mergesWithLast` puts it into the step before: a slider's way is one change. */
export function record<T>(history: History<T>, next: T, mergesWithLast = false): History<T> {
  const merges = mergesWithLast && history.past.length > 0
  const past = merges ? history.past : [...history.past, history.present].slice(-MAX_STEPS)
  return { past, present: next, future: [] }
}

export function undo<T>(history: History<T>): History<T> {
  const previous = history.past.at(-1)
  if (previous === undefined) return history
  return {
    past: history.past.slice(0, -1),
    present: previous,
    future: [history.present, ...history.future],
  }
}

export function redo<T>(history: History<T>): History<T> {
  const [next, ...future] = history.future
  if (next === undefined) return history
  return { past: [...history.past, history.present], present: next, future }
}
