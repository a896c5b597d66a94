/** @file How much of a process's memory may be arrays: less than the machine has, in some kinds of process. */
import { AppError } from '@shared/errors'
import { formatBytes } from '@shared/units'

/** In bytes. */
export interface ArrayLimits {
  /** The largest array. */
  readonly one: number
  /** All arrays together. */
  readonly all: number
}

/** What a job holds at its highest point, in bytes. */
export interface ArrayNeed {
  readonly largest: number
  readonly together: number
}

/** Elements of a typed array, four bytes each. */
const NODE: ArrayLimits = { one: 4 * (2 ** 32 - 1), all: Infinity }

/**
 * Electron keeps arrays where its allocator hands out pieces of less than 2 GiB, from a pool of 8 GiB; some of the pool
 * goes to gaps between them.
 */
const ELECTRON: ArrayLimits = { one: 2 ** 31 - 2 ** 21, all: 7 * 2 ** 30 }

/** The most of several needs that do not come together. */
export function mostOf(needs: readonly ArrayNeed[]): ArrayNeed {
  return {
    largest: Math.max(0, ...needs.map(({ largest }) => largest)),
    together: Math.max(0, ...needs.map(({ together }) => together)),
  }
}

/** What this kind of process can hold. */
export function arrayLimits(versions: NodeJS.ProcessVersions = process.versions): ArrayLimits {
  return versions['electron'] === undefined ? NODE : ELECTRON
}

/** Bytes that the process would have to be able to hold and cannot; `null` when it can. */
export function beyondLimits(
  { largest, together }: ArrayNeed,
  { one, all }: ArrayLimits = arrayLimits(),
): number | null {
  if (largest > one) return largest
  return together > all ? together : null
}

/**
 * Refuses what no memory of the machine would help against.
 *
 * @throws AppError `not_enough_memory`.
 */
export function requireArrays(need: ArrayNeed, limits: ArrayLimits = arrayLimits()): void {
  const bytes = beyondLimits(need, limits)
  if (bytes === null) return
  const isOne = bytes === need.largest
  const most = isOne ? limits.one : limits.all
  throw new AppError(
    'not_enough_memory',
    `The model takes ${formatBytes(bytes)} ${isOne ? 'in one piece' : 'at once'}, and a process of this kind holds ${formatBytes(most)}, however much memory there is.`,
    {
      hint: limits === ELECTRON ? OUTSIDE_ELECTRON : 'Choose a method that copies layers.',
      context: { expected: `at most ${formatBytes(most)}`, actual: formatBytes(bytes) },
    },
  )
}

const OUTSIDE_ELECTRON =
  'Outside of the desktop program there is no such limit: `lesa serve` opens the same workbench in a browser, `lesa expand` and `lesa evaluate` work in a terminal.'
