/** What is said of a number that cannot be taken. */
export const FIELD_ERRORS = {
  notANumber: 'Give a number.',
  grouped: (whole: string, fraction: string): string =>
    `Write ${whole} or ${fraction}: with a separator it could be either.`,
  whole: (low: string, high: string): string => `Give a whole number, ${low} to ${high}.`,
  between: (low: string, high: string): string => `Give a number, ${low} to ${high}.`,
  above: (low: string, high: string): string => `Give a number above ${low}, up to ${high}.`,
  below: (low: string, high: string): string => `Give a number from ${low}, below ${high}.`,
} as const
