/**
 * @file Frees the host's arrays in time. The collector does not see how much memory hangs on a small object, so that a
 * loop which makes a large result each time can hold many times what it needs. Here it is called when enough has been
 * handed out since the last time; a collection of this program's small heap takes a few milliseconds.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Arrays may add up to this much before those among them that are not used any more are collected. */
export const GARBAGE_LIMIT = 48e6

/** While all arrays together are smaller, collecting takes longer than it is worth. */
const NEGLIGIBLE = 16e6

let collect: (() => void) | null = null
let handedOut = 0

/** Counts an array that was handed out. */
export function noteAllocation(bytes: number): void {
  handedOut += bytes
}

/** Frees what is no longer used if that may be much: before more is handed out. */
export function makeRoom(): void {
  if (handedOut >= GARBAGE_LIMIT) collectGarbage()
}

/** Zeros, for results of a loop. */
export function floats(length: number): Float32Array {
  makeRoom()
  noteAllocation(length * Float32Array.BYTES_PER_ELEMENT)
  return new Float32Array(length)
}

/** Frees what has been let go, now: where a stage begins whose peak would otherwise add to that of the one before. */
export function collectGarbage(): void {
  handedOut = 0
  if (process.memoryUsage().external >= NEGLIGIBLE) collectAll()
}

/** The same, however little there is to free. */
export function collectAll(): void {
  if (!collect) {
    // Works in every kind of process, whatever flags it was started with.
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
}
