import type { Verdict } from '@shared/estimate'

/** Words that more than one view uses. */
export const COMMON = {
  cancel: 'Cancel',
  close: 'Close',
  retry: 'Try again',
  choose: 'Choose…',
  loading: 'Loading…',
  layerTypes: 'Types of layers',
} as const

export const VERDICTS: Readonly<Record<Verdict, string>> = {
  fits: 'Fits',
  tight: 'Tight',
  does_not_fit: 'Does not fit',
}
