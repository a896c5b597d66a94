import { meaningsOf, readNumber } from '@shared/numbers'
import { parseSize } from '@shared/units'
import { InvalidArgumentError } from 'commander'

/** A whole number, not negative; ranges are checked with the whole spec. */
export function integer(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  refuseGrouped(text, true)
  throw new InvalidArgumentError('It should be a whole number.')
}

/** A number that could be read in two ways is not read at all. */
function refuseGrouped(text: string, isWhole: boolean): void {
  const read = readNumber(text, isWhole)
  if (!('problem' in read) || read.problem !== 'grouped') return
  const [whole] = meaningsOf(text)
  throw new InvalidArgumentError(`It should be written without thousands separators: ${whole}.`)
}

/** A decimal number such as `0.99`, `0,99` or `5e-5`. */
export function decimal(text: string): number {
  refuseGrouped(text, false)
  const read = readNumber(text)
  if (!('value' in read)) throw new InvalidArgumentError('It should be a number.')
  return read.value
}

/** A decimal number, or a word in its place. */
export function decimalOr(word: string): (text: string) => number | string {
  return (text) => (text === word ? word : decimal(text))
}

/**
 * `1e-3`, or several with commas between: `1e-3,3e-3`. With semicolons between, each may have a decimal comma.
 */
export function decimals(text: string): number[] {
  const hasSemicolons = text.includes(';')
  const parts = text.split(hasSemicolons ? ';' : ',').map((part) => part.trim())
  if (!hasSemicolons && parts.length === 2 && parts[0] === '0' && /^\d+$/.test(parts[1] ?? '')) {
    throw new InvalidArgumentError(
      `Commas separate numbers here; with a decimal point it is 0.${parts[1]}.`,
    )
  }
  return parts.map(decimal)
}

/** `5GB`, `500 MB`, `4GiB` or bytes. */
export function size(text: string): number {
  const bytes = parseSize(text)
  if (bytes === null) throw new InvalidArgumentError('It should be a size such as 5GB or 500MB.')
  return bytes
}

/** `8-23`. */
export function layerRange(text: string): readonly [first: number, last: number] {
  const match = /^(\d{1,6})\s*[-–]\s*(\d{1,6})$/.exec(text)
  const [first, last] = [Number(match?.[1]), Number(match?.[2])]
  if (!match || last < first) {
    throw new InvalidArgumentError('It should be first and last layer, such as 8-23.')
  }
  return [first, last]
}

/** `3,6,9` in order, `some`, or `none`, which is `false`. */
export function heldOutLayers(text: string): readonly number[] | 'some' | false {
  if (text === 'some') return text
  if (text === 'none') return false
  const parts = text.split(',').map((part) => part.trim())
  if (!parts.every((part) => /^\d{1,6}$/.test(part))) {
    throw new InvalidArgumentError('It should be layers such as 3,6,9, or some, or none.')
  }
  return parts.map(Number).sort((a, b) => a - b)
}

/** A TCP port; 0 lets the system choose. */
export function port(text: string): number {
  const value = integer(text)
  if (value > 65_535) throw new InvalidArgumentError('It should be a port, 0 to 65535.')
  return value
}
