/** @file What a fitted start came to, in sentences. */
import type { FitReport, UnseenLosses } from './fit'
import { formatCount, formatNumber } from './units'

/** What the fit did to the losses on windows that it did not see, the text's first. */
export function readFit({ rounds, unseen, unseen_old: old }: FitReport): string[] {
  const steps = rounds.filter(({ step }) => step > 0).map(({ step }) => formatNumber(step))
  if (steps.length === 0) {
    return [
      'No step along the direction lowered the loss on other parts of the text: there is nothing to gain at the start, and ' +
        'the new layers begin as LLaMA Pro’s do, changing nothing.',
    ]
  }
  const taken =
    steps.length === 1 ? `A step of ${steps[0]}` : `${steps.length} steps (${steps.join(', ')})`
  return [
    `${taken} ${changeOf(unseen, 'on parts of the text that nothing was fitted to')}`,
    ...(old === null ? [] : [`It ${changeOf(old, 'on the old text')}`]),
  ]
}

function changeOf({ before, after, difference, tokens }: UnseenLosses, where: string): string {
  const numbers = `from ${before.toFixed(3)} to ${after.toFixed(3)} ${where} (${formatCount(tokens)} tokens)`
  if (difference === null) {
    const moved = after < before ? 'took' : 'moved'
    return `${moved} the loss ${numbers}; there are too few windows to say how sure that is.`
  }
  const { low, high } = difference
  const interval = `95 % interval of the difference: ${signed(low)} to ${signed(high)}`
  if (high < 0) return `lowered the loss ${numbers}; ${interval}.`
  if (low > 0) return `raised the loss ${numbers}; ${interval}.`
  return `moved the loss ${numbers}, which cannot be told from no change; ${interval}.`
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`
}
