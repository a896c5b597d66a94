import type { RecentEntry } from '@shared/settings'
import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import { useClient } from '../api/client'

/** Projects and models that were opened before, newest first. */
export const useRecentsStore = defineStore('recents', () => {
  const client = useClient()
  const entries = shallowRef<readonly RecentEntry[]>([])
  const isLoaded = ref(false)

  client.subscribe('recents:changed', accept)

  function accept(changed: readonly RecentEntry[]): void {
    entries.value = changed
    isLoaded.value = true
  }

  /** @throws AppError */
  async function load(): Promise<void> {
    accept(await client.call('recents:list'))
  }

  /** Forgets an entry; nothing on disk changes. @throws AppError */
  async function remove(path: string): Promise<void> {
    accept(await client.call('recents:remove', path))
  }

  /** @throws AppError */
  async function clear(): Promise<void> {
    accept(await client.call('recents:clear'))
  }

  return { entries, isLoaded, load, remove, clear }
})
