import { toAppError, type AppErrorData } from '@shared/errors'
import { ref, shallowRef, type Ref, type ShallowRef } from 'vue'

export interface Action<A extends readonly unknown[]> {
  /** Answers whether it went well. */
  readonly run: (...args: A) => Promise<boolean>
  readonly isBusy: Ref<boolean>
  readonly error: ShallowRef<AppErrorData | null>
}

/** Something a person asks for that takes a while and may fail; asked again while it runs, it is not run twice. */
export function useAction<A extends readonly unknown[]>(
  action: (...args: A) => Promise<unknown>,
): Action<A> {
  const isBusy = ref(false)
  const error = shallowRef<AppErrorData | null>(null)

  async function run(...args: A): Promise<boolean> {
    if (isBusy.value) return false
    isBusy.value = true
    error.value = null
    try {
      await action(...args)
      return true
    } catch (thrown) {
      error.value = toAppError(thrown).toData()
      return false
    } finally {
      isBusy.value = false
    }
  }
  return { run, isBusy, error }
}
