import { toAppError, type AppErrorData } from '@shared/errors'
import { addPoints, type JobChange } from '@shared/jobs'
import type { RunSeries } from '@shared/projects'
import { ref, shallowRef, type Ref, type ShallowRef } from 'vue'
import type { Curves } from './curves'

/** Points held of each series: more than a chart has pixels, few enough to be sent at once. */
export const MAX_POINTS = 100_000

/** The curves that are recorded of something, and what its job has added to them since. */
export interface RecordedCurves<A extends readonly unknown[]> {
  readonly curves: ShallowRef<Curves>
  readonly error: ShallowRef<AppErrorData | null>
  readonly isLoading: Ref<boolean>
  /** Asks for what is recorded; the answer to an earlier question is dropped. */
  readonly load: (...args: A) => Promise<void>
  /** Adds what has happened. */
  readonly add: (changes: readonly JobChange[]) => void
  readonly clear: () => void
}

export function useRecordedCurves<A extends readonly unknown[]>(
  fetch: (...args: A) => Promise<RunSeries>,
): RecordedCurves<A> {
  const curves = shallowRef<Curves>({})
  const error = shallowRef<AppErrorData | null>(null)
  const isLoading = ref(false)
  /** What has happened since the recorded curves were asked for; `null` when they are there. */
  let since: JobChange[] | null = null

  async function load(...args: A): Promise<void> {
    const changes: JobChange[] = []
    since = changes
    isLoading.value = true
    try {
      const { series } = await fetch(...args)
      if (since !== changes) return
      // What has happened meanwhile may be in the answer or not: adding it again changes nothing.
      curves.value = extendCurves(series, changes)
      error.value = null
    } catch (thrown) {
      if (since === changes) error.value = toAppError(thrown).toData()
    }
    if (since !== changes) return
    since = null
    isLoading.value = false
  }

  function add(changes: readonly JobChange[]): void {
    since?.push(...changes)
    curves.value = extendCurves(curves.value, changes)
  }

  function clear(): void {
    since = null
    isLoading.value = false
    curves.value = {}
    error.value = null
  }

  return { curves, error, isLoading, load, add, clear }
}

/** Curves with the points of what has happened. */
function extendCurves(curves: Curves, changes: readonly JobChange[]): Curves {
  return changes.reduce(
    (all, change) =>
      change.type === 'metric' ? addPoints(all, change.series, change, MAX_POINTS) : all,
    curves,
  )
}
