import { useMediaQuery, useMutationObserver } from '@vueuse/core'
import { ref, watch, type Ref } from 'vue'

/** Rises whenever colours may have changed: what is painted on a canvas has to be painted again. */
export function useThemeVersion(): Ref<number> {
  const version = ref(0)
  const change = (): void => {
    version.value += 1
  }
  useMutationObserver(document.documentElement, change, {
    attributeFilter: ['data-theme', 'class'],
  })
  const queries = ['(prefers-color-scheme: dark)', '(forced-colors: active)']
  watch(
    queries.map((query) => useMediaQuery(query)),
    change,
  )
  return version
}
