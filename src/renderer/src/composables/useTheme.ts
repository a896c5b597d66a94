import { computed, onScopeDispose, ref, type ComputedRef } from 'vue'
import { useSettingsStore } from '../stores/settings'

/** Whether dark surfaces are shown now: for drawings on a canvas, which CSS does not reach. */
export function useIsDark(): ComputedRef<boolean> {
  const store = useSettingsStore()
  const query = window.matchMedia('(prefers-color-scheme: dark)')
  const systemIsDark = ref(query.matches)
  const onChange = (): void => {
    systemIsDark.value = query.matches
  }
  query.addEventListener('change', onChange)
  onScopeDispose(() => query.removeEventListener('change', onChange))
  return computed(() =>
    store.settings.theme === 'auto' ? systemIsDark.value : store.settings.theme === 'dark',
  )
}
