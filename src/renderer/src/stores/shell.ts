import { defineStore } from 'pinia'
import { ref } from 'vue'

/** Which of the shell's dialogs are open. */
export const useShellStore = defineStore('shell', () => {
  const areKeysShown = ref(false)
  /** The new project's model, as far as it is known; `null` while nobody makes one. */
  const newProject = ref<{ readonly model: string } | null>(null)
  return { areKeysShown, newProject }
})
