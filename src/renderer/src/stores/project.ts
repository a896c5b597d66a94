import { toAppError, type AppErrorData } from '@shared/errors'
import type { ModelSummary } from '@shared/model'
import type {
  ProjectId,
  ProjectPatch,
  ProjectView,
  Relocation,
  RunId,
  TextAddition,
  TextSource,
} from '@shared/projects'
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import { useClient } from '../api/client'

/** The project that this window shows. */
export const useProjectStore = defineStore('project', () => {
  const client = useClient()
  const view = shallowRef<ProjectView | null>(null)
  const error = shallowRef<AppErrorData | null>(null)
  const isLoading = ref(false)
  /** Tells a late answer from the newest one. */
  let latest = 0

  const id = computed(() => view.value?.id ?? null)
  /**
   * The base model; `null` while it is missing or cannot be read. It stays the same object until something of it changes:
   * what is asked of it is not asked again because the project has news of something else, or was asked how it is.
   */
  const model = computed<ModelSummary | null>((before) => {
    const found = view.value?.model
    const summary = found?.state === 'ready' || found?.state === 'changed' ? found.summary : null
    return before && JSON.stringify(before) === JSON.stringify(summary) ? before : summary
  })
  /** Whether runs can be made of it: it is there, and the one it was. */
  const isModelReady = computed(() => view.value?.model.state === 'ready')
  const runs = computed(() => view.value?.runs ?? [])

  client.subscribe('projects:changed', (changed) => {
    if (changed.id === view.value?.id) view.value = changed
  })

  // A model that went away while the project is open shows in whatever is asked of it: the project is asked how it is.
  client.onFailure(({ code, context }, call) => {
    const known = view.value
    if (!known || call.startsWith('projects:')) return
    const isOfModel = code === 'model_missing' || context?.['file']?.startsWith(known.model.path)
    if (isOfModel && known.model.state === 'ready') void recheck(known.id)
  })

  async function recheck(asked: ProjectId): Promise<void> {
    try {
      changed(await client.call('projects:get', asked))
    } catch {
      // What failed says so itself.
    }
  }

  function accept(opened: ProjectView): ProjectView {
    latest += 1
    isLoading.value = false
    error.value = null
    view.value = opened
    return opened
  }

  /** Shows the project that is open in the program under this id; what goes wrong is in `error`. */
  async function load(asked: ProjectId): Promise<void> {
    const request = (latest += 1)
    error.value = null
    isLoading.value = true
    if (view.value?.id !== asked) view.value = null
    try {
      const found = await client.call('projects:get', asked)
      if (request === latest) view.value = found
    } catch (thrown) {
      if (request === latest) error.value = toAppError(thrown).toData()
    } finally {
      if (request === latest) isLoading.value = false
    }
  }

  /** @param force Takes it from another program that seems to have it open. @throws AppError */
  async function open(path: string, force = false): Promise<ProjectView> {
    return accept(
      await (force
        ? client.call('projects:open', path, { force })
        : client.call('projects:open', path)),
    )
  }

  /** @throws AppError */
  async function create(asked: {
    name: string
    model: string
    parent?: string
  }): Promise<ProjectView> {
    return accept(await client.call('projects:create', asked))
  }

  /** @throws AppError */
  async function createDemo(): Promise<ProjectView> {
    return accept(await client.call('projects:createDemo'))
  }

  /** Leaves the project; its jobs go on. @throws AppError */
  async function close(): Promise<void> {
    const closed = current()
    forget()
    await client.call('projects:close', closed.id)
  }

  function forget(): void {
    latest += 1
    view.value = null
    error.value = null
    isLoading.value = false
  }

  /** @throws AppError */
  async function update(patch: ProjectPatch): Promise<void> {
    changed(await client.call('projects:update', current().id, patch))
  }

  /** @throws AppError */
  async function rename(name: string): Promise<void> {
    changed(await client.call('projects:rename', current().id, name))
  }

  /** Opens the copy. @throws AppError */
  async function duplicate(name: string, withRuns: boolean): Promise<ProjectView> {
    return accept(await client.call('projects:duplicate', current().id, { name, withRuns }))
  }

  /** Moves it to the trash. @returns Where to, where that is a folder. @throws AppError */
  async function remove(): Promise<string | null> {
    const { movedTo } = await client.call('projects:delete', current().id)
    forget()
    return movedTo
  }

  /** @throws AppError */
  async function relocateModel(path: string, acceptDifferent: boolean): Promise<Relocation> {
    const found = await client.call('projects:relocateModel', current().id, path, {
      acceptDifferent,
    })
    if (found.outcome === 'relocated') changed(found.project)
    return found
  }

  /** Removes the stages that are kept for later runs. @throws AppError */
  async function clearWork(): Promise<void> {
    changed(await client.call('projects:clearWork', current().id))
  }

  /** @throws AppError */
  async function addText(source: TextSource): Promise<TextAddition> {
    const added = await client.call('projects:addText', current().id, source)
    changed(added.project)
    return added
  }

  /** @throws AppError */
  async function removeText(text: string): Promise<void> {
    changed(await client.call('projects:removeText', current().id, text))
  }

  /** @throws AppError */
  async function renameRun(run: RunId, name: string): Promise<void> {
    changed(await client.call('runs:rename', current().id, run, name))
  }

  /** An answer about a project that has been left meanwhile changes nothing here. */
  function changed(answer: ProjectView): void {
    if (answer.id === view.value?.id) view.value = answer
  }

  function current(): ProjectView {
    if (!view.value) throw new Error('No project is open.')
    return view.value
  }

  return {
    view,
    id,
    model,
    isModelReady,
    runs,
    error,
    isLoading,
    load,
    open,
    create,
    createDemo,
    close,
    forget,
    update,
    rename,
    duplicate,
    remove,
    relocateModel,
    clearWork,
    addText,
    removeText,
    renameRun,
    accept: changed,
  }
})
