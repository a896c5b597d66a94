import { toAppError, type AppErrorData } from '@shared/errors'
import type { ModelSummary } from '@shared/model'
import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import { useClient } from '../api/client'

/** The base model: what was asked for, and what it turned out to be. */
export const useModelStore = defineStore('model', () => {
  const client = useClient()
  const path = ref('')
  const summary = shallowRef<ModelSummary | null>(null)
  const error = shallowRef<AppErrorData | null>(null)
  const isLoading = ref(false)
  /** Tells a late answer from the newest one. */
  let latest = 0

  async function open(asked: string): Promise<void> {
    const request = (latest += 1)
    path.value = asked.trim()
    summary.value = null
    error.value = null
    if (path.value === '') {
      isLoading.value = false
      return
    }
    isLoading.value = true
    try {
      const found = await client.call('models:inspect', path.value)
      if (request !== latest) return
      summary.value = found
      path.value = found.path
    } catch (thrown) {
      if (request === latest) error.value = toAppError(thrown).toData()
    } finally {
      if (request === latest) isLoading.value = false
    }
  }

  return { path, summary, error, isLoading, open }
})
