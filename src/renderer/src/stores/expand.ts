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

  const checked = computed<CheckedForm>(() =>
    model.summary?.supported ? checkForm(form, model.summary) : NOTHING,
  )

  const suggestion = computed(() => {
    const layers = checked.value.plan?.layers.length
    if (!model.summary || layers === undefined || !app.info) return null
    const { demoModel, home, pathSeparator } = app.info
    // Beside the model, except for the bundled one: that is part of the program.
    const { path } = model.summary
    const base = path === demoModel ? joinPath(home, baseName(path), pathSeparator) : path
    return suggestOutput(base, form.method, layers, pathSeparator)
  })

  watch(suggestion, (path) => {
    if (!isOutTyped.value && path !== null) form.out = path
  })

  function setOut(path: string): void {
    isOutTyped.value = path.trim() !== ''
    form.out = isOutTyped.value ? path : (suggestion.value ?? '')
  }

  return { form, checked, setOut }
})
