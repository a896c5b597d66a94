import { toAppError, type AppErrorData } from '@shared/errors'
import { isOver, type JobSnapshot, type RequestedJobSpec } from '@shared/jobs'
import { defineStore } from 'pinia'
import { computed, ref, shallowReactive, shallowRef } from 'vue'
import { useClient } from '../api/client'

/** Every job that the program knows, kept up to date by its pushes. */
export const useJobsStore = defineStore('jobs', () => {
  const client = useClient()
  const byId = shallowReactive(new Map<string, JobSnapshot>())
  const selectedId = ref<string | null>(null)
  const error = shallowRef<AppErrorData | null>(null)
  const isStarting = ref(false)

  /** Newest first. */
  const all = computed(() => [...byId.values()].sort((a, b) => b.createdAt - a.createdAt))
  /** The one that is looked at: what was chosen, else the newest. */
  const shown = computed(() => byId.get(selectedId.value ?? '') ?? all.value[0] ?? null)

  client.subscribe('jobs:changed', accept)

  /** Answers and pushes may overtake each other: the higher sequence number is the truth. */
  function accept(snapshot: JobSnapshot): void {
    const known = byId.get(snapshot.id)
    if (!known || snapshot.seq > known.seq) byId.set(snapshot.id, snapshot)
  }

  /** Asks for everything: at the start, and after the line was broken. */
  async function load(): Promise<void> {
    await attempt(async () => {
      const known = await client.call('jobs:list')
      const ids = new Set(known.map(({ id }) => id))
      for (const id of byId.keys()) if (!ids.has(id)) byId.delete(id)
      known.forEach(accept)
    })
  }

  async function start(spec: RequestedJobSpec): Promise<void> {
    isStarting.value = true
    await attempt(async () => {
      const snapshot = await client.call('jobs:start', spec)
      accept(snapshot)
      selectedId.value = snapshot.id
    })
    isStarting.value = false
  }

  async function cancel(id: string): Promise<void> {
    await attempt(async () => accept(await client.call('jobs:cancel', id)))
  }

  /** Cancels the job that is shown, if it has not ended. */
  async function cancelShown(): Promise<void> {
    if (shown.value && !isOver(shown.value)) await cancel(shown.value.id)
  }

  async function attempt(action: () => Promise<void>): Promise<void> {
    error.value = null
    try {
      await action()
    } catch (thrown) {
      error.value = toAppError(thrown).toData()
    }
  }

  return { all, shown, selectedId, error, isStarting, load, start, cancel, cancelShown }
})
