/** What is said of a number that cannot be taken. */
export const FIELD_ERRORS = {
  notANumber: 'Give a number.',
  whole: (low: string, high: string): string => `Give a whole number, ${low} to ${high}.`,
  between: (low: string, high: string): string => `Give a number, ${low} to ${high}.`,
  above: (low: string, high: string): string => `Give a number above ${low}, up to ${high}.`,
  below: (low: string, high: string): string => `Give a number from ${low}, below ${high}.`,
} as const
