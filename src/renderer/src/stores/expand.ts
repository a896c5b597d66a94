import { defineStore } from 'pinia'
import { computed, reactive, ref, watch } from 'vue'
import { checkForm, newForm, suggestOutput, type CheckedForm } from '../lib/expandForm'
import { baseName, joinPath } from '../lib/paths'
import { useAppStore } from './app'
import { useModelStore } from './model'

const NOTHING: CheckedForm = { spec: null, plan: null, errors: {} }

/** The form of a growing job, checked against the open model as it is typed. */
export const useExpandStore = defineStore('expand', () => {
  const app = useAppStore()
  const model = useModelStore()
  const form = reactive(newForm())
  /** A path that a person has typed is not replaced by a suggestion. */
  const isOutTyped = ref(false)
  /** Where a person has chosen to write; the folder's name in it is still suggested. */
  const parent = ref<string | null>(null)

  const checked = computed<CheckedForm>(() =>
    model.summary?.supported ? checkForm(form, model.summary) : NOTHING,
  )

  const suggestion = computed(() => {
    const layers = checked.value.plan?.layers.length
    if (!model.summary || layers === undefined || !app.info) return null
    const { demoModel, home, pathSeparator } = app.info
    const { path } = model.summary
    // Beside the model, except for the bundled one: that is part of the program.
    const folder = parent.value ?? (path === demoModel ? home : null)
    const base = folder === null ? path : joinPath(folder, baseName(path), pathSeparator)
    return suggestOutput(base, form.method, layers, pathSeparator)
  })

  watch(suggestion, (path) => {
    if (!isOutTyped.value && path !== null) form.out = path
  })

  function setOut(path: string): void {
    isOutTyped.value = path.trim() !== ''
    form.out = isOutTyped.value ? path : (suggestion.value ?? '')
  }

  function chooseParent(folder: string): void {
    parent.value = folder
    isOutTyped.value = false
    form.out = suggestion.value ?? folder
  }

  return { form, checked, setOut, chooseParent }
})
