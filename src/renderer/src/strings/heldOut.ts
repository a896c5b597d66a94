import type { HeldOutVerdict } from '@shared/heldOut'

/** What leads a run's result and its pictures, above the verdict's sentence. */
export const HELD_OUT: Readonly<Record<HeldOutVerdict['outcome'], string>> = {
  useful: 'The prediction holds on a layer it has not seen',
  mixed: 'The prediction is doubtful on a layer it has not seen',
  useless: 'The prediction fails on a layer it has not seen',
  untested: 'The prediction is untested',
}

export const VERDICT_TONES = {
  useful: 'success',
  mixed: 'warning',
  useless: 'warning',
  untested: 'info',
} as const satisfies Readonly<Record<HeldOutVerdict['outcome'], string>>
