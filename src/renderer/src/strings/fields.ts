/** One parameter of a form: what it is called, what it is, and when to change it. */
export interface ParameterText {
  readonly label: string
  readonly meaning: string
  readonly why: string
}

/** What stands beside every parameter. */
export const FIELDS = {
  changed: 'changed',
  reset: (label: string, value: string): string => `Reset ${label} to ${value}`,
  default: 'Default',
} as const

/** What is said of a number that cannot be taken. */
export const FIELD_ERRORS = {
  nothing: 'Give a name.',
  notANumber: 'Give a number.',
  autoNeedsText: 'Choose a calibration text first: it is chosen on that.',
  tooMany: (most: number): string => `Give at most ${most} of them.`,
  layers: 'Give layers such as 6,8,10-12, or nothing for the new ones.',
  grouped: (whole: string, fraction: string): string =>
    `Write ${whole} or ${fraction}: with a separator it could be either.`,
  heldOut: (low: string, high: string): string =>
    `Give layers, ${low} to ${high}, with commas between, that leave others to learn from.`,
  whole: (low: string, high: string): string => `Give a whole number, ${low} to ${high}.`,
  between: (low: string, high: string): string => `Give a number, ${low} to ${high}.`,
  above: (low: string, high: string): string => `Give a number above ${low}, up to ${high}.`,
  below: (low: string, high: string): string => `Give a number from ${low}, below ${high}.`,
} as const
