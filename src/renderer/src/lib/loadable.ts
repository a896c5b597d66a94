import { toAppError, type AppErrorData } from '@shared/errors'
import { ref, shallowRef, type Ref, type ShallowRef } from 'vue'

/** Something that is asked for: its latest answer, its failure, and whether it is under way. */
export interface Loadable<T, A extends readonly unknown[]> {
  readonly value: ShallowRef<T | null>
  readonly error: ShallowRef<AppErrorData | null>
  readonly isLoading: Ref<boolean>
  /** Asks; the answer to an earlier question is dropped. The old value stays until there is a new one. */
  readonly load: (...args: A) => Promise<void>
  readonly clear: () => void
}

export function useLoadable<T, A extends readonly unknown[]>(
  fetch: (...args: A) => Promise<T>,
): Loadable<T, A> {
  const value = shallowRef<T | null>(null)
  const error = shallowRef<AppErrorData | null>(null)
  const isLoading = ref(false)
  let latest = 0

  async function load(...args: A): Promise<void> {
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
    value.value = null
    error.value = null
    isLoading.value = false
  }

  return { value, error, isLoading, load, clear }
}
