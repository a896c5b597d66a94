import { COMPARED_METHODS, type ComparisonRequest } from '@shared/comparisons'
import { fitsText, type Method } from '@shared/methods'
import type { ProjectId, RunSettings, TextPlace } from '@shared/projects'
import type { StartChoice } from '@shared/trainings'
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import { TRAINING_PRESET_OPTIONS } from '../lib/trainingFields'
import { useProjectStore } from './project'

/** The comparison of all methods at one depth: what it is going to be, and the one that there is. */
export const useCompareAllStore = defineStore('compareAll', () => {
  const client = useClient()
  const project = useProjectStore()

  const isOpen = ref(false)
  const like = shallowRef<RunSettings | null>(null)
  const chosen = ref<readonly Method[]>([])
  /** The text that all are measured on, and the one that is fitted to and trained on. */
  const text = ref('')
  const seen = shallowRef<TextPlace | null>(null)
  const races = ref(false)

  const starts = useLoadable<readonly StartChoice[], [ProjectId, RunSettings]>((id, settings) =>
    client.call('trainings:starts', id, settings),
  )
  const offered = computed(() =>
    (starts.value.value ?? []).filter(({ method }) => COMPARED_METHODS.includes(method)),
  )
  const methods = computed(() =>
    offered.value.flatMap(({ method, state }) =>
      state !== 'impossible' && chosen.value.includes(method) ? [method] : [],
    ),
  )
  const current = computed(() => project.view?.comparison ?? null)
  const isRunning = computed(() => current.value?.state === 'running')

  /** Whether a second text is needed: something is fitted to it, or trained on it. */
  const needsSeen = computed(() => races.value || methods.value.some(fitsText))
  const isSeenMeasured = computed(
    () =>
      needsSeen.value &&
      seen.value !== null &&
      'text' in seen.value &&
      seen.value.text === text.value,
  )

  const request = computed<ComparisonRequest | null>(() => {
    if (!like.value || methods.value.length === 0 || text.value === '') return null
    if (needsSeen.value && (seen.value === null || isSeenMeasured.value)) return null
    return {
      like: like.value,
      methods: [...methods.value],
      text: text.value,
      device: like.value.device,
      ...(needsSeen.value && seen.value
        ? { calibration: { ...like.value.calibration, text: seen.value } }
        : {}),
      ...(races.value && seen.value
        ? {
            race: {
              ...TRAINING_PRESET_OPTIONS.try,
              device: like.value.device,
              texts: [seen.value],
              evalText: { text: text.value },
            },
          }
        : {}),
    }
  })

  /** Asks what there is at the depth of a growth, and opens the dialog. */
  function open(settings: RunSettings): void {
    if (project.id === null) return
    like.value = settings
    chosen.value = COMPARED_METHODS
    const texts = (project.view?.texts ?? []).filter(({ exists }) => exists)
    if (!texts.some(({ id }) => id === text.value)) text.value = texts[0]?.id ?? ''
    const other = texts.find(({ id }) => id !== text.value)
    const known = settings.calibration?.text ?? project.view?.draft.calibration?.text
    seen.value = known ?? (other ? { text: other.id } : null)
    isOpen.value = true
    void starts.load(project.id, settings)
  }

  function toggle(method: Method): void {
    chosen.value = chosen.value.includes(method)
      ? chosen.value.filter((one) => one !== method)
      : [...chosen.value, method]
  }

  /** Cuts the measured text in two: the first half is fitted to, the second measured on. @throws AppError */
  async function split(): Promise<void> {
    const { project: view, parts } = await client.call('projects:splitText', id(), text.value)
    project.accept(view)
    seen.value = { text: parts[0].id }
    text.value = parts[1].id
  }

  /** @throws AppError */
  async function start(): Promise<void> {
    if (!request.value) return
    project.accept(await client.call('comparisons:start', id(), request.value))
    isOpen.value = false
  }

  /** @throws AppError */
  async function stop(): Promise<void> {
    project.accept(await client.call('comparisons:stop', id()))
  }

  /** @throws AppError */
  async function resume(): Promise<void> {
    project.accept(await client.call('comparisons:resume', id()))
  }

  /** @throws AppError */
  async function clear(): Promise<void> {
    project.accept(await client.call('comparisons:clear', id()))
  }

  function id(): ProjectId {
    if (project.id === null) throw new Error('No project is open.')
    return project.id
  }

  return {
    isOpen,
    like,
    chosen,
    text,
    seen,
    races,
    offered,
    startsError: starts.error,
    areStartsLoading: starts.isLoading,
    methods,
    needsSeen,
    isSeenMeasured,
    request,
    current,
    isRunning,
    open,
    toggle,
    split,
    start,
    stop,
    resume,
    clear,
  }
})
