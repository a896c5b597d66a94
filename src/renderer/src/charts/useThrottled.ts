import { onScopeDispose, shallowRef, watch, type ShallowRef, type WatchSource } from 'vue'

/** Of the time that goes by, computing takes this share at most. */
const SHARE = 0.15
const LEAST_MS = 100

/**
 * A value that is computed from its sources at once after a quiet time, and then as often as its cost allows, so that a
 * chart of a million points does not keep the window busy while a job feeds it.
 *
 * @param now Milliseconds that only rise.
 */
export function useThrottled<T>(
  sources: readonly WatchSource<unknown>[],
  compute: () => T,
  now: () => number = () => performance.now(),
): Readonly<ShallowRef<T>> {
  const value = shallowRef<T>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let earliest = -Infinity

  function update(): void {
    timer = undefined
    const start = now()
    value.value = compute()
    earliest = start + Math.max(LEAST_MS, (now() - start) / SHARE)
  }

  update()
  watch([...sources], () => {
    const wait = earliest - now()
    if (wait <= 0) {
      clearTimeout(timer)
      update()
    } else timer ??= setTimeout(update, wait)
  })
  onScopeDispose(() => clearTimeout(timer))
  return value as Readonly<ShallowRef<T>>
}
