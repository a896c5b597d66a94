/** @file Whether two `lesa.json` tell of one growth. */

/** What is one growth's own, whatever was trained since. */
const FIELDS = [
  'base_model',
  'architecture',
  'method',
  'num_hidden_layers',
  'new_layers',
  'layers',
  'settings',
  'seed',
] as const

type LesaJson = Readonly<Record<string, unknown>>

/** Other programs may have written the one, but of the same keys in the same order. */
export function isSameGrowth(a: LesaJson, b: LesaJson): boolean {
  return (
    Array.isArray(a['new_layers']) &&
    FIELDS.every((field) => JSON.stringify(a[field]) === JSON.stringify(b[field]))
  )
}
