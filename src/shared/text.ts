/** @file Text from outside (names in files, paths, what other programs said) as it may be shown to people. */

/** Characters of a name or a path that are shown. */
export const SHOWN_LENGTH = 240

/**
 * What would move a cursor, colour a terminal or turn the order of letters around: control characters, separators of
 * lines, marks and overrides of direction.
 */
// eslint-disable-next-line no-control-regex -- these are what must not be shown
const UNSHOWABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/**
 * The text on one line, with escapes for what is no visible character, and at most so long: what is beyond is left out
 * of its middle.
 */
export function shown(text: string, most = SHOWN_LENGTH): string {
  const escaped = shortened(text, most)
    .replace(/\s*\n\s*/g, ' ↵ ')
    .replace(UNSHOWABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return shortened(escaped, most)
}

/** The text with an ellipsis for its middle where it is too long. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text
  const head = Math.ceil((most - 1) / 2)
  const tail = most - 1 - head
  // No half of a pair is left at the cut.
  const start = text.slice(0, head).replace(/[\ud800-\udbff]$/, '')
  const end = text.slice(text.length - tail).replace(/^[\udc00-\udfff]/, '')
  return `${start}…${end}`
}

/** A value of a JSON file as it stands there, at a length that a message can have. */
export function shownValue(value: unknown): string {
  return shortened(JSON.stringify(value) ?? 'nothing', 120)
}

/** The first of many names, and how many more there are. */
export function fewOf(names: readonly string[], most = 3): string {
  const first = names.slice(0, most).map((name) => shown(name, 80))
  const more = names.length - first.length
  return more > 0 ? `${first.join(', ')} and ${more} more` : first.join(', ')
}
