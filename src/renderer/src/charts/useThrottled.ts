import { watchThrottled } from '@vueuse/core'
import { onScopeDispose, shallowRef, type ShallowRef, type WatchSource } from 'vue'

/** Of the time that goes by, computing takes this share at most. */
const SHARE = 0.15
const LEAST_MS = 100

/**
 * A value that is computed from its sources at once after a quiet time, and then as often as its cost allows, so that a
 * chart of a million points does not keep the window busy while a job feeds it.
 */
export function useThrottled<T>(
  sources: readonly WatchSource<unknown>[],
  compute: () => T,
): Readonly<ShallowRef<T>> {
  const value = shallowRef<T>()
  let throttle = LEAST_MS
  let isOver = false

  function update(): void {
    if (isOver) return
    const start = performance.now()
    value.value = compute()
    throttle = Math.max(LEAST_MS, (performance.now() - start) / SHARE)
  }

  watchThrottled([...sources], update, { throttle: () => throttle, immediate: true })
  // A computation that has been put off comes even when the watcher has ended.
  onScopeDispose(() => (isOver = true))
  return value as Readonly<ShallowRef<T>>
}
