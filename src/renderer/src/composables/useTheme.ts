import { usePreferredDark } from '@vueuse/core'
import { computed, type ComputedRef } from 'vue'
import { useSettingsStore } from '../stores/settings'

/** Whether dark surfaces are shown now: for drawings on a canvas, which CSS does not reach. */
export function useIsDark(): ComputedRef<boolean> {
  const store = useSettingsStore()
  const systemIsDark = usePreferredDark()
  return computed(() =>
    store.settings.theme === 'auto' ? systemIsDark.value : store.settings.theme === 'dark',
  )
}
