import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Released arrays may add up to this much before they are collected. */
export const GARBAGE_LIMIT = 48e6

let collect: (() => void) | null = null
let garbage = 0

/**
 * Notes that an array of `bytes` is no longer used. The collector does not see how much memory hangs on a small
 * object, so that a loop which makes a large result each time can hold many times what it needs; here it is called when
 * enough has been let go. A collection of this program's small heap takes a few milliseconds.
 */
export function noteGarbage(bytes: number): void {
  garbage += bytes
  if (garbage < GARBAGE_LIMIT) return
  garbage = 0
  collectGarbage()
}

/** Frees what has been let go, now: between stages whose peaks would otherwise add up. */
export function collectGarbage(): void {
  if (!collect) {
    // Works in every kind of process, whatever flags it was started with.
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
}
