import { isWithinBounds, SEED, type Bounds } from '@shared/bounds'
import { GENERATION, GENERATION_DEFAULTS } from '@shared/generation'
import { meaningsOf, readNumber } from '@shared/numbers'
import { reactive } from 'vue'
import { describeBounds } from '../../lib/bounds'
import { FIELD_ERRORS } from '../../strings/fields'

/** The form's numbers as they were typed. */
export interface TryNumbers {
  tokens: string
  temperature: string
  topK: string
  topP: string
  seed: string
}

export type TryField = keyof TryNumbers

const BOUNDS: Readonly<Record<TryField, Bounds>> = {
  tokens: GENERATION.tokens,
  // Of sampling; 0 would be the likeliest token.
  temperature: { ...GENERATION.temperature, excludes: 'min' },
  topK: GENERATION.topK,
  topP: GENERATION.topP,
  seed: SEED,
}

/** Those that may be left empty. */
const OPTIONAL: readonly TryField[] = ['topK', 'topP']

/** Temperature at which the model's own probabilities are drawn from. */
const SAMPLED_TEMPERATURE = 1

export function newNumbers(): TryNumbers {
  return reactive({
    tokens: String(GENERATION_DEFAULTS.tokens),
    temperature: String(SAMPLED_TEMPERATURE),
    topK: '',
    topP: '',
    seed: String(GENERATION_DEFAULTS.seed),
  })
}

/** Why a field's text cannot be taken; `undefined` when it can. */
export function fieldError(field: TryField, text: string): string | undefined {
  const bounds = BOUNDS[field]
  if (text.trim() === '' && OPTIONAL.includes(field)) return undefined
  const read = readNumber(text, bounds.isWhole)
  if ('value' in read && isWithinBounds(read.value, bounds)) return undefined
  return 'problem' in read && read.problem === 'grouped'
    ? FIELD_ERRORS.grouped(...meaningsOf(text))
    : describeBounds(bounds).error
}

/** The field's number; `undefined` where it is empty. */
export function fieldValue(text: string): number | undefined {
  const read = readNumber(text)
  return 'value' in read ? read.value : undefined
}
