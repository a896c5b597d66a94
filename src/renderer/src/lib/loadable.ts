import { toAppError, type AppErrorData } from '@shared/errors'
import { ref, shallowRef, type Ref, type ShallowRef } from 'vue'

/** Something that is asked for: its latest answer, its failure, and whether it is under way. */
export interface Loadable<T, A extends readonly unknown[]> {
  readonly value: ShallowRef<T | null>
  readonly error: ShallowRef<AppErrorData | null>
  readonly isLoading: Ref<boolean>
  /**
   * Asks; the answer to an earlier question is dropped. A value belongs to its question: it stays while the same is
   * asked again, and is gone at once when something else is.
   */
  readonly load: (...args: A) => Promise<void>
  readonly clear: () => void
}

/** @param keyOf What an answer belongs to: everything that is asked with, unless said otherwise. */
export function useLoadable<T, A extends readonly unknown[]>(
  fetch: (...args: A) => Promise<T>,
  keyOf: (...args: A) => unknown = (...args) => args,
): Loadable<T, A> {
  const value = shallowRef<T | null>(null)
  const error = shallowRef<AppErrorData | null>(null)
  const isLoading = ref(false)
  let key: string | undefined
  let latest = 0

  async function load(...args: A): Promise<void> {
    const asked = JSON.stringify(keyOf(...args))
    if (asked !== key) clear()
    key = asked
    const request = (latest += 1)
    isLoading.value = true
    try {
      const answer = await fetch(...args)
      if (request !== latest) return
      value.value = answer
      error.value = null
    } catch (thrown) {
      if (request !== latest) return
      value.value = null
      error.value = toAppError(thrown).toData()
    }
    isLoading.value = false
  }

  function clear(): void {
    latest += 1
    key = undefined
    value.value = null
    error.value = null
    isLoading.value = false
  }

  return { value, error, isLoading, load, clear }
}
