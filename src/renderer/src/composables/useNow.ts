import { useIntervalFn, useTimestamp } from '@vueuse/core'
import { watch, type Ref } from 'vue'

/** The time, running only while it is looked at. */
export function useNow(isRunning: Ref<boolean>, everyMs = 500): Ref<number> {
  const { timestamp, pause, resume } = useTimestamp({
    controls: true,
    scheduler: (tick) =>
      useIntervalFn(tick, everyMs, { immediate: false, immediateCallback: true }),
  })
  watch(isRunning, (runs) => (runs ? resume() : pause()), { immediate: true })
  return timestamp
}
