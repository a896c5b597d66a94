import { toAppError, type AppErrorData } from '@shared/errors'
import { periodOf, type LayerTypes, type Pattern } from '@shared/methods/layers'
import { patternOf, planExpansion, type ExpansionPlan } from '@shared/plan'
import { DEFAULT_DRAFT, runSettingsOf, type ProjectDraft, type RunSettings } from '@shared/projects'
import { useManualRefHistory } from '@vueuse/core'
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import { useProjectStore } from './project'

/** Long enough for a slider to come to rest. */
const SAVE_AFTER_MS = 400
/** The engine is asked once nothing has changed for so long. */
const ASK_AFTER_MS = 150
/** Changes of the same thing within this time are one step to undo. */
const MERGE_WITHIN_MS = 1_000
/** More steps than anyone walks back. */
const MAX_STEPS = 200

/**
 * What is going to be run: the project's draft, edited by the Plan and Parameters views with one history, saved with
 * the project as it changes.
 */
export const usePlanStore = defineStore('plan', () => {
  const client = useClient()
  const project = useProjectStore()
  const present = shallowRef<ProjectDraft>(DEFAULT_DRAFT)
  const history = useManualRefHistory(present, { capacity: MAX_STEPS })
  const isUnsaved = ref(false)
  const saveError = shallowRef<AppErrorData | null>(null)
  let owner: string | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  let lastKey: string | null = null
  let lastAt = 0

  const draft = computed(() => present.value)
  const settings = computed(() => runSettingsOf(draft.value))
  const layerCount = computed(() => project.model?.num_hidden_layers ?? null)
  const { canUndo, canRedo } = history
  /** What type each layer of the base model is of; nothing where all are alike. */
  const types = computed<LayerTypes>(() => project.model?.layer_types ?? [])
  /** How they bear on where new layers go, as far as the model has a pattern. */
  const pattern = computed<Pattern>(() => {
    const isKept = 'keepPattern' in settings.value.method && periodOf(types.value) !== null
    return patternOf(isKept, types.value)
  })

  /** The grown model's layers, or why the method's parameters do not fit. */
  const planned = computed<{ plan: ExpansionPlan | null; problem: AppErrorData | null }>(() => {
    if (layerCount.value === null) return { plan: null, problem: null }
    try {
      const { method } = settings.value
      return { plan: planExpansion(method, layerCount.value, types.value), problem: null }
    } catch (thrown) {
      return { plan: null, problem: toAppError(thrown).toData() }
    }
  })
  const plan = computed(() => planned.value.plan)
  const problem = computed(() => planned.value.problem)

  // The project's draft is ours until somebody else (another window) changes it.
  watch(
    () => project.view,
    (view) => {
      if (!view) {
        void flush()
        owner = null
        return
      }
      if (view.id !== owner) {
        // What was changed last in the project before is not lost.
        void flush()
        owner = view.id
        isUnsaved.value = false
        saveError.value = null
        record(view.draft)
        history.clear()
      } else if (!isUnsaved.value && !isSameDraft(view.draft, draft.value)) {
        record(view.draft)
      }
    },
    { immediate: true },
  )

  /** Changes the draft. Changes with the same `key` in quick succession are undone together. */
  function edit(patch: Partial<ProjectDraft>, key: string | null = null): void {
    const next = { ...draft.value, ...patch }
    if (isSameDraft(next, draft.value)) return
    const now = Date.now()
    // A slider's way is one change: the step before is taken back and made anew.
    if (key !== null && key === lastKey && now - lastAt < MERGE_WITHIN_MS) history.undo()
    lastKey = key
    lastAt = now
    record(next)
    scheduleSave()
  }

  function record(next: ProjectDraft): void {
    present.value = next
    history.commit()
  }

  function undo(): void {
    if (canUndo.value) walk(history.undo)
  }

  function redo(): void {
    if (canRedo.value) walk(history.redo)
  }

  function walk(step: () => void): void {
    step()
    lastKey = null
    scheduleSave()
  }

  function scheduleSave(): void {
    isUnsaved.value = true
    clearTimeout(timer)
    timer = setTimeout(() => void flush(), SAVE_AFTER_MS)
  }

  /** Saves what has not been saved: before a run starts, and when the project is left. */
  async function flush(): Promise<void> {
    clearTimeout(timer)
    if (!isUnsaved.value || owner === null) return
    const [id, saved] = [owner, draft.value]
    try {
      project.accept(await client.call('projects:update', id, { draft: saved }))
      if (id !== owner) return
      saveError.value = null
      if (saved === draft.value) isUnsaved.value = false
    } catch (thrown) {
      if (id === owner) saveError.value = toAppError(thrown).toData()
    }
  }

  const growth = useLoadable((path: string, asked: RunSettings) =>
    client.call('models:growth', path, asked),
  )

  /** What the plan does to size and config, as the engine says. */
  watch(
    [settings, () => project.model?.path, plan],
    ([asked, path, hasPlan], _old, onCleanup) => {
      // What is shown is never another plan's, also while a slider moves.
      growth.clear()
      if (!hasPlan || path === undefined) return
      const waiting = setTimeout(() => void growth.load(path, asked), ASK_AFTER_MS)
      onCleanup(() => clearTimeout(waiting))
    },
    { immediate: true },
  )

  return {
    draft,
    settings,
    layerCount,
    types,
    pattern,
    plan,
    problem,
    growth: growth.value,
    growthError: growth.error,
    isUnsaved,
    saveError,
    canUndo,
    canRedo,
    edit,
    undo,
    redo,
    flush,
  }
})

/** Drafts are plain data with a fixed order of keys at every level that differs. */
function isSameDraft(a: ProjectDraft, b: ProjectDraft): boolean {
  return stable(a) === stable(b)
}

function stable(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
