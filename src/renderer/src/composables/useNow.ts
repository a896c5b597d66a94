import { onScopeDispose, ref, watch, type Ref } from 'vue'

/** The time, running only while it is looked at. */
export function useNow(isRunning: Ref<boolean>, everyMs = 500): Ref<number> {
  const now = ref(Date.now())
  let timer: ReturnType<typeof setInterval> | undefined
  const stop = (): void => clearInterval(timer)
  watch(
    isRunning,
    (running) => {
      stop()
      now.value = Date.now()
      if (running) timer = setInterval(() => (now.value = Date.now()), everyMs)
    },
    { immediate: true },
  )
  onScopeDispose(stop)
  return now
}
