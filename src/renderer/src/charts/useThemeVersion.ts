import { onBeforeUnmount, ref, type Ref } from 'vue'

/** Rises whenever colours may have changed: what is painted on a canvas has to be painted again. */
export function useThemeVersion(): Ref<number> {
  const version = ref(0)
  const change = (): void => {
    version.value += 1
  }
  const observer = new MutationObserver(change)
  observer.observe(document.documentElement, {
    attributes: true,
    attributeFilter: ['data-theme', 'class'],
  })
  const queries = ['(prefers-color-scheme: dark)', '(forced-colors: active)'].map((query) =>
    window.matchMedia(query),
  )
  for (const query of queries) query.addEventListener('change', change)
  onBeforeUnmount(() => {
    observer.disconnect()
    for (const query of queries) query.removeEventListener('change', change)
  })
  return version
}
