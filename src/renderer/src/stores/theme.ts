import { defineStore } from 'pinia'
import { ref, watch } from 'vue'

export const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

/** Read by `public/theme.js` before the first paint. */
const KEY = 'lesa.theme'

/** Light, dark, or as the system has it. */
export const useThemeStore = defineStore('theme', () => {
  const saved = localStorage.getItem(KEY)
  const theme = ref<Theme>(THEMES.find((known) => known === saved) ?? 'auto')

  watch(
    theme,
    (chosen) => {
      localStorage.setItem(KEY, chosen)
      if (chosen === 'auto') delete document.documentElement.dataset['theme']
      else document.documentElement.dataset['theme'] = chosen
    },
    { immediate: true },
  )
  return { theme }
})
