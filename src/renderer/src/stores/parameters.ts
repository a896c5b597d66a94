import { learns, transports } from '@shared/methods'
import {
  PLACED_PREDICTOR_KEYS,
  PRESET_SETTINGS,
  type PredictorPreset,
} from '@shared/predictorSettings'
import { defineStore } from 'pinia'
import { computed, reactive, watch } from 'vue'
import {
  isChanged,
  NUMBER_FIELDS,
  parseField,
  resetPatch,
  textOf,
  type NumberField,
  type ParameterField,
} from '../lib/parameterFields'
import { usePlanStore } from './plan'

const LEARNED_FIELDS: readonly ParameterField[] = [
  ...PLACED_PREDICTOR_KEYS,
  'energy',
  'useSvd',
  'holdout',
]
const COMMON_FIELDS: readonly ParameterField[] = ['rest', 'damp', 'align', 'device', 'seed']

/**
 * The parameters as they are typed. What is good is in the plan's draft at once; what is not stays here, with the
 * reason, until it is.
 */
export const useParametersStore = defineStore('parameters', () => {
  const plan = usePlanStore()
  const texts = reactive({} as Record<NumberField, string>)
  const errors = reactive<Partial<Record<NumberField, string>>>({})

  const layers = computed(() => plan.layerCount ?? 0)
  const isLearned = computed(() => learns(plan.draft.method))
  const fields = computed((): readonly ParameterField[] => [
    ...(isLearned.value ? LEARNED_FIELDS : []),
    ...(transports(plan.draft.method) ? (['asPublished'] as const) : []),
    ...COMMON_FIELDS,
  ])
  const changed = computed(() =>
    fields.value.filter((field) => isChanged(field, plan.draft, layers.value)),
  )
  /** Whether everything that this method uses can be taken. */
  const isValid = computed(() =>
    NUMBER_FIELDS.every((field) => errors[field] === undefined || !fields.value.includes(field)),
  )

  // Undoing, a preset, another window: a field follows when its value has changed, unless it says the same already.
  watch(
    () => plan.draft,
    (draft, before) => {
      for (const field of NUMBER_FIELDS) {
        const text = textOf(field, draft)
        if (before !== undefined && textOf(field, before) === text) continue
        if (saysTheSame(field, text)) continue
        texts[field] = text
        delete errors[field]
      }
    },
    { immediate: true, flush: 'sync' },
  )

  function saysTheSame(field: NumberField, text: string): boolean {
    const typed = texts[field] as string | undefined
    if (typed === undefined) return false
    const meant = parseField(field, typed, plan.draft, layers.value)
    return 'patch' in meant && textOf(field, { ...plan.draft, ...meant.patch }) === text
  }

  function type(field: NumberField, text: string): void {
    texts[field] = text
    const found = parseField(field, text, plan.draft, layers.value)
    if ('error' in found) errors[field] = found.error
    else {
      delete errors[field]
      plan.edit(found.patch, field)
    }
  }

  /** Shows what has been taken as the program writes it, once the field is left. */
  function echo(field: NumberField): void {
    if (errors[field] === undefined) texts[field] = textOf(field, plan.draft)
  }

  function reset(field: ParameterField): void {
    if (field in texts) {
      delete errors[field as NumberField]
      texts[field as NumberField] = textOf(field as NumberField, {
        ...plan.draft,
        ...resetPatch(field, plan.draft, layers.value),
      })
    }
    plan.edit(resetPatch(field, plan.draft, layers.value))
  }

  /** All that are changed, as one step. */
  function resetAll(): void {
    let draft = plan.draft
    for (const field of changed.value)
      draft = { ...draft, ...resetPatch(field, draft, layers.value) }
    plan.edit(draft)
  }

  function choosePreset(preset: PredictorPreset): void {
    plan.edit({ preset, predictor: PRESET_SETTINGS[preset] })
  }

  /** Puts back what could not be taken, and answers which: what is run is what was last shown as good. */
  function dropInvalid(): NumberField[] {
    const dropped = NUMBER_FIELDS.filter((field) => errors[field] !== undefined)
    for (const field of dropped) {
      texts[field] = textOf(field, plan.draft)
      delete errors[field]
    }
    return dropped
  }

  return {
    texts,
    errors,
    isLearned,
    changed,
    isValid,
    type,
    echo,
    reset,
    resetAll,
    choosePreset,
    dropInvalid,
  }
})
