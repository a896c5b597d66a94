import { DEFAULT_SETTINGS, type Settings, type SettingsPatch, type Theme } from '@shared/settings'
import { defineStore } from 'pinia'
import { ref, shallowRef, watch } from 'vue'
import { useClient } from '../api/client'

/** Read by `public/theme.js` before the first paint. */
const THEME_KEY = 'lesa.theme'

/** What the person has chosen for the whole program. */
export const useSettingsStore = defineStore('settings', () => {
  const client = useClient()
  const settings = shallowRef<Settings>(DEFAULT_SETTINGS)
  const isLoaded = ref(false)

  client.subscribe('settings:changed', accept)

  function accept(changed: Settings): void {
    settings.value = changed
    isLoaded.value = true
  }

  /** @throws AppError */
  async function load(): Promise<void> {
    accept(await client.call('settings:get'))
  }

  /** @throws AppError what the program refused; nothing has changed then. */
  async function update(patch: SettingsPatch): Promise<void> {
    accept(await client.call('settings:update', patch))
  }

  watch(
    () => (isLoaded.value ? settings.value.theme : null),
    (theme) => {
      if (theme !== null) applyTheme(theme)
    },
  )

  return { settings, isLoaded, load, update }
})

function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
  try {
    localStorage.setItem(THEME_KEY, theme)
  } catch {
    // Storage may be switched off: the next start shows the system's theme for a moment.
  }
}
