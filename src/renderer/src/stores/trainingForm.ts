import { MAX_RACERS } from '@shared/jobs'
import { methodNamed, METHODS } from '@shared/methods'
import {
  runSettingsOf,
  wasTrained,
  type ProjectId,
  type RunId,
  type RunSettings,
  type RunSummary,
} from '@shared/projects'
import {
  type StartChoice,
  type TrainingRequest,
  type TrainingSettings,
  type TrainingText,
} from '@shared/trainings'
import { defineStore } from 'pinia'
import { computed, reactive, watch } from 'vue'
import { useClient } from '../api/client'
import { useLoadable } from '../lib/loadable'
import {
  isChanged,
  parseField,
  textOf,
  TRAINING_PRESET_OPTIONS,
  TYPED_FIELDS,
  withPreset,
  type TrainingField,
  type TrainingOptions,
  type TrainingPreset,
  type TypedField,
} from '../lib/trainingFields'
import { usePlanStore } from './plan'
import { useProjectStore } from './project'

/** What a person has chosen for the next training of a project. */
interface TrainingForm {
  runs: readonly RunId[]
  /** Grown first. */
  grow: readonly RunSettings[]
  texts: readonly TrainingText[]
  /** `null` for a share of the texts. */
  evalText: TrainingText | null
  forgettingText: TrainingText | null
  preset: TrainingPreset
  options: TrainingOptions
  name: string
  /** As they are typed. */
  typed: Record<TypedField, string>
  /** Why what is typed is not taken. */
  errors: Partial<Record<TypedField, string>>
}

const OTHER_FIELDS = ['order', 'schedule', 'trainedParts', 'device'] as const

function newForm(): TrainingForm {
  const options = TRAINING_PRESET_OPTIONS.try
  return {
    runs: [],
    grow: [],
    texts: [],
    evalText: null,
    forgettingText: null,
    preset: 'try',
    options,
    name: '',
    typed: typedOf(options),
    errors: {},
  }
}

function typedOf(options: TrainingOptions): Record<TypedField, string> {
  return Object.fromEntries(TYPED_FIELDS.map((field) => [field, textOf(field, options)])) as Record<
    TypedField,
    string
  >
}

/** The next training of the project that is open, as far as it has been chosen; it stays while the program is open. */
export const useTrainingFormStore = defineStore('trainingForm', () => {
  const client = useClient()
  const project = useProjectStore()
  const plan = usePlanStore()
  const forms = reactive(new Map<ProjectId, TrainingForm>())

  const form = computed<TrainingForm>(() => {
    const id = project.id ?? ''
    if (!forms.has(id)) forms.set(id, newForm())
    return forms.get(id) as TrainingForm
  })

  /** Grown models that are there, newest first. */
  const trainable = computed<readonly RunSummary[]>(() =>
    project.runs.filter(({ model, isOfThisModel }) => model !== null && isOfThisModel),
  )
  /** Those that take part and are not there yet, since something grows them. */
  const awaited = computed<readonly RunSummary[]>(() =>
    project.runs.filter((run) => run.model === null && form.value.runs.includes(run.id)),
  )
  const texts = computed(() => project.view?.texts ?? [])

  // At first all that can be compared: each method's newest model at the newest one's depth, on every text.
  watch(
    [() => project.id, trainable],
    ([id, runs], before) => {
      const known = form.value
      const isNew = id !== before?.[0]
      if (known.runs.length + known.grow.length === 0) {
        const depth = runs.find((run) => !wasTrained(run))?.layersAfter
        const methods = new Set<string>()
        known.runs = runs
          .filter((run) => {
            const { layersAfter, method } = run
            if (wasTrained(run) || layersAfter !== depth || methods.has(method)) return false
            methods.add(method)
            return true
          })
          .map((run) => run.id)
      } else if (!isNew) {
        const ids = new Set(project.runs.map((run) => run.id))
        if (known.runs.some((run) => !ids.has(run))) {
          known.runs = known.runs.filter((run) => ids.has(run))
        }
      }
    },
    { immediate: true },
  )
  watch(
    [() => project.id, texts],
    ([id, all], before) => {
      const known = form.value
      const isSame = id === before?.[0]
      const earlier = isSame ? (before?.[1] ?? []) : []
      const added = all.filter(
        (text) => text.exists && !earlier.some((other) => other.id === text.id),
      )
      if (!isSame && known.texts.length > 0) return
      const here = new Set(all.map((text) => text.id))
      const kept = known.texts.filter((text) => !('text' in text) || here.has(text.text))
      known.texts = [...kept, ...added.map((text) => ({ text: text.id }))]
      for (const key of ['evalText', 'forgettingText'] as const) {
        const chosen = known[key]
        if (chosen && 'text' in chosen && !here.has(chosen.text)) known[key] = null
      }
    },
    { immediate: true },
  )

  /** Every method at the depth of what is compared. */
  const starts = useLoadable<readonly StartChoice[], [ProjectId, RunSettings]>((id, settings) =>
    client.call('trainings:starts', id, settings),
  )

  /** What the others are to be as deep as: the first model that is chosen, else the newest, else what is planned. */
  const reference = computed<RunSettings>(() => {
    const grown = project.runs.filter((run) => !wasTrained(run))
    const chosen = grown.find(({ id }) => form.value.runs.includes(id)) ?? trainable.value[0]
    return chosen?.settings ?? runSettingsOf(plan.draft)
  })

  /** Chooses the starts that a race compares; what is missing of them is to be grown. @throws AppError */
  async function compareStarts(): Promise<void> {
    if (project.id === null) return
    await starts.load(project.id, reference.value)
    const compared = (starts.value.value ?? []).filter(({ isCompared }) => isCompared)
    form.value.runs = compared.flatMap((start) => ('run' in start ? [start.run] : []))
    form.value.grow = compared.flatMap((start) => ('settings' in start ? [start.settings] : []))
  }

  /** Why starts that a race compares are not among the chosen. */
  const impossible = computed(() =>
    (starts.value.value ?? []).flatMap((start) =>
      start.isCompared && start.state === 'impossible'
        ? [{ method: methodNamed(start.method).title, reason: start.reason }]
        : [],
    ),
  )

  function choosePreset(preset: TrainingPreset): void {
    const options = TRAINING_PRESET_OPTIONS[preset]
    Object.assign(form.value, { preset, options, typed: typedOf(options), errors: {} })
  }

  /** Takes over what an earlier training was asked for. */
  function adopt(settings: TrainingSettings, runs: readonly RunId[]): void {
    const { runs: _, texts: chosen, evalText, forgettingText, ...options } = settings
    Object.assign(form.value, {
      runs,
      grow: [],
      texts: chosen,
      evalText: evalText ?? null,
      forgettingText: forgettingText ?? null,
      options,
      typed: typedOf(options),
      errors: {},
    })
  }

  function type(field: TypedField, text: string): void {
    const { typed, errors, options } = form.value
    typed[field] = text
    const found = parseField(field, text, options)
    if ('error' in found) errors[field] = found.error
    else {
      delete errors[field]
      form.value.options = found.options
    }
  }

  /** Shows what has been taken as the program writes it, once the field is left. */
  function echo(field: TypedField): void {
    if (form.value.errors[field] === undefined) {
      form.value.typed[field] = textOf(field, form.value.options)
    }
  }

  function edit(patch: Partial<TrainingOptions>): void {
    const options = { ...form.value.options, ...patch }
    form.value.options = options
    // Another unit is another number.
    if (patch.amount) {
      form.value.typed.amount = textOf('amount', options)
      delete form.value.errors.amount
    }
  }

  function reset(field: TrainingField): void {
    form.value.options = withPreset(field, form.value.options, form.value.preset)
    if (field in form.value.typed) {
      const typed = field as TypedField
      delete form.value.errors[typed]
      form.value.typed[typed] = textOf(typed, form.value.options)
    }
  }

  const changed = computed<readonly TrainingField[]>(() =>
    [...TYPED_FIELDS, ...OTHER_FIELDS].filter((field) =>
      isChanged(field, form.value.options, form.value.preset),
    ),
  )
  const invalid = computed(() =>
    TYPED_FIELDS.filter((field) => form.value.errors[field] !== undefined),
  )
  /** Trainings that run beside each other. */
  const racers = computed(
    () => (form.value.runs.length + form.value.grow.length) * form.value.options.repeats,
  )

  /** As methods are offered, so that each has its place and colour whichever way it was chosen. */
  function inOrder(runs: readonly RunId[]): RunId[] {
    const place = (id: RunId): number => {
      const run = project.runs.find((known) => known.id === id)
      return run ? METHODS.indexOf(run.method) : METHODS.length
    }
    return [...runs].sort((a, b) => place(a) - place(b))
  }

  /** What is asked for; `null` while something is missing or wrong. */
  const request = computed<TrainingRequest | null>(() => {
    const { runs, grow, texts: chosen, evalText, forgettingText, options, name } = form.value
    if (runs.length + grow.length === 0 || chosen.length === 0) return null
    if (invalid.value.length > 0 || racers.value > MAX_RACERS) return null
    const title = name.trim()
    return {
      settings: {
        ...options,
        runs: inOrder(runs),
        texts: [...chosen],
        ...(evalText === null ? {} : { evalText }),
        ...(forgettingText === null ? {} : { forgettingText }),
      },
      grow: [...grow],
      ...(title === '' ? {} : { name: title }),
    }
  })

  return {
    form,
    trainable,
    awaited,
    texts,
    starts: starts.value,
    startsError: starts.error,
    areStartsLoading: starts.isLoading,
    compareStarts,
    impossible,
    choosePreset,
    adopt,
    type,
    echo,
    edit,
    reset,
    changed,
    invalid,
    racers,
    request,
  }
})
