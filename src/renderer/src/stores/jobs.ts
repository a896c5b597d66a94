import { toAppError, type AppErrorData } from '@shared/errors'
import {
  foldUpdate,
  isOver,
  type JobChange,
  type JobSnapshot,
  type JobUpdate,
  type RequestedJobSpec,
} from '@shared/jobs'
import { defineStore } from 'pinia'
import { computed, ref, shallowReactive, shallowRef } from 'vue'
import { useClient } from '../api/client'

/** Is told what has happened to a job; `null` when that is not known, only how the job is now. */
export type JobFollower = (job: JobSnapshot, changes: readonly JobChange[] | null) => void

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

  const followers = new Set<JobFollower>()
  /** Updates that came while a job is asked for of which some were missed. */
  const held = new Map<string, JobUpdate[]>()

  client.subscribe('jobs:changed', receive)

  /** Adds one who is told after the job has been brought up to date here. */
  function follow(follower: JobFollower): void {
    followers.add(follower)
  }

  function receive(update: JobUpdate): void {
    const waiting = held.get(update.job)
    if (waiting) {
      waiting.push(update)
      return
    }
    const known = byId.get(update.job)
    const job = foldUpdate(known, update)
    if (job === null) void recover(update)
    else if (job !== known) set(job, update.events)
  }

  /** Asks for a job that cannot be brought up to date, and goes on from the answer. */
  async function recover(update: JobUpdate): Promise<void> {
    const waiting = [update]
    held.set(update.job, waiting)
    try {
      set(await client.call('jobs:get', update.job), null)
    } catch {
      // Forgotten by the program, or the line is broken: then all are asked for when it is back.
      waiting.length = 0
    }
    held.delete(update.job)
    waiting.forEach(receive)
  }

  function set(job: JobSnapshot, changes: readonly JobChange[] | null): void {
    byId.set(job.id, job)
    for (const follower of followers) follower(job, changes)
  }

  /** Answers and pushes may overtake each other: the higher number is the truth. */
  function accept(snapshot: JobSnapshot): void {
    const known = byId.get(snapshot.id)
    if (!known) byId.set(snapshot.id, snapshot)
    else if (snapshot.seq > known.seq) set(snapshot, null)
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

  /** Ends it once what it computes is kept. */
  async function pause(id: string): Promise<void> {
    await attempt(async () => accept(await client.call('jobs:pause', id)))
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

  return {
    all,
    shown,
    selectedId,
    error,
    isStarting,
    follow,
    load,
    start,
    cancel,
    pause,
    cancelShown,
  }
})
