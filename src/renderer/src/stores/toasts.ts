import { toAppError } from '@shared/errors'
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { ERROR_TITLES } from '../lib/errorTitles'

export interface Toast {
  readonly id: number
  readonly tone: 'info' | 'success' | 'warning' | 'danger'
  readonly title: string
  readonly text?: string
  readonly action?: { readonly label: string; readonly run: () => void }
}

/** Long enough to read; what went wrong stays until it is put away. */
const SHOWN_MS = 6_000
const MAX_TOASTS = 4

/** Short messages in the corner. */
export const useToastsStore = defineStore('toasts', () => {
  const toasts = ref<readonly Toast[]>([])
  let nextId = 1

  function show(toast: Omit<Toast, 'id'>): void {
    const id = nextId
    nextId += 1
    toasts.value = [...toasts.value.slice(1 - MAX_TOASTS), { ...toast, id }]
    if (toast.tone !== 'danger' && !toast.action) setTimeout(() => dismiss(id), SHOWN_MS)
  }

  function dismiss(id: number): void {
    toasts.value = toasts.value.filter((toast) => toast.id !== id)
  }

  /** Runs what a person asked for; what goes wrong is said. Answers whether it went well. */
  async function attempt(action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action()
      return true
    } catch (thrown) {
      const error = toAppError(thrown)
      const text = [error.message, error.hint].filter((part) => part !== undefined).join(' ')
      show({ tone: 'danger', title: ERROR_TITLES[error.code], text })
      return false
    }
  }

  return { toasts, show, dismiss, attempt }
})
