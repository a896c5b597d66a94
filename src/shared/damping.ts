import type { Bounds } from './bounds'
import { formatNumber } from './units'

/** The factor of what new layers add to the residual stream: 0 makes them the identity, as LLaMA Pro's are. */
export type Damp = number | 'auto'

export const DAMP: Bounds = { min: 0, max: 4 }

/** What `auto` tries. */
export const DAMP_CHOICES = [0, 0.1, 0.25, 0.5, 1] as const

/** How a factor was chosen. Losses are mean negative log-likelihoods in nats per token. */
export interface DampingReport {
  readonly factor: number
  /** Every factor that was tried; `null` where the model's output was not finite. */
  readonly tried: readonly { readonly factor: number; readonly loss: number | null }[]
  /** The text's name, and how many of its tokens were predicted. */
  readonly text: string
  readonly tokens: number
  /** On windows that had no part in the choice: with the factor, and with zero (the base model's own loss). */
  readonly unseen: { readonly loss: number; readonly lossOfZero: number }
}

/** What came of the choice, in a sentence or two. */
export function describeDamping({ factor, tried, text, unseen }: DampingReport): string {
  const nats = (loss: number | null): string => (loss === null ? 'no finite loss' : loss.toFixed(4))
  const losses = tried.map(({ factor: each, loss }) => `${formatNumber(each)}: ${nats(loss)}`)
  const chosen =
    factor === 0
      ? `0 is the best factor on ${text}: what the new layers would add makes its loss higher, so they start as the identity`
      : `${formatNumber(factor)} is the best factor on ${text}`
  const other =
    factor === 0
      ? `Other windows: ${nats(unseen.loss)}`
      : `Other windows: ${nats(unseen.loss)}, without the new layers ${nats(unseen.lossOfZero)}`
  return `Damping: ${chosen} (${losses.join(', ')}). ${other}.`
}
