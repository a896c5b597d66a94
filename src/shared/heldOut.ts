import { listLayers } from './holdout'
import type { PredictorReport } from './jobs'
import { methodNamed, type Method } from './methods'

/** Whether a method's new layers are what its predictors say: a control trains them for their sizes alone. */
export function usesPredictions(method: Method): boolean {
  return methodNamed(method).fill?.kind === 'predicted'
}

/** The predictors that a method's new layers come from; none of a control's, whose layers they do not describe. */
export function ownReports(
  method: Method,
  reports: readonly PredictorReport[],
): readonly PredictorReport[] {
  return usesPredictions(method) ? reports : []
}

/** How predictions of one weight type turned out on layers that they were not trained on. */
export type HeldOut = NonNullable<PredictorReport['holdout']>

/** Of the weight types that were tried on layers kept out of training. */
function heldOutOf(reports: readonly PredictorReport[]): HeldOut[] {
  return reports.flatMap(({ holdout }) => (holdout ? [holdout] : []))
}

/** What layers that were kept out of training say of the predictors, over all weight types. */
export interface HeldOutVerdict {
  /**
   * `useful`: all are better than predicting zero, and than noise of the prediction's size; `useless`: none is better than
   * zero. `untested` without such layers.
   */
  readonly outcome: 'useful' | 'mixed' | 'useless' | 'untested'
  readonly sentence: string
}

/** Below this a cosine is that of directions without anything in common. */
export const NO_COSINE = 0.05

/**
 * Mean squared error of noise in the prediction's place: Gaussian, of the prediction's own norm, a yardstick that has its
 * size and none of its direction. Noise is independent of the target t and has mean 0, so E‖t − noise‖² = ‖t‖² + ‖noise‖² =
 * ‖t‖² + ‖p‖² for a prediction p; for n elements that is, with the error of zero ‖t‖²/n and the ratio of norms ‖p‖/‖t‖,
 * the first times one plus the second squared. A prediction's own error is less by 2⟨t, p⟩/n: it beats noise exactly where
 * its cosine with the target is above 0.
 */
export function mseOfNoise({
  mseOfZero,
  normRatio,
}: Pick<HeldOut, 'mseOfZero' | 'normRatio'>): number {
  return mseOfZero * (1 + normRatio ** 2)
}

/** Whether a prediction is better than noise of its size, by more than a chance likeness of directions. */
export function beatsNoise(
  held: Pick<HeldOut, 'mse' | 'mseOfZero' | 'normRatio' | 'cosine'>,
): boolean {
  return held.mse < mseOfNoise(held) && held.cosine > NO_COSINE
}

/**
 * The verdict on a run's predictors, the same wherever it is told; `null` for methods whose layers are not predicted.
 * Errors in training say nothing here: what was seen can be recalled.
 */
export function heldOutVerdict(
  method: Method,
  reports: readonly PredictorReport[],
): HeldOutVerdict | null {
  const own = ownReports(method, reports)
  if (own.length === 0) return null
  const held = heldOutOf(own)
  const layers = [...new Set(held.flatMap((each) => each.layers.map(({ layer }) => layer)))]
  if (layers.length === 0) {
    return {
      outcome: 'untested',
      sentence:
        'No layer was kept out of training, so nothing says how well an unseen layer would be predicted.',
    }
  }
  const isOne = layers.length === 1
  const all = held.length
  const zero = held.filter(({ mse, mseOfZero }) => mse < mseOfZero).length
  const mean = held.filter(({ mse, mseOfMean }) => mse < mseOfMean).length
  const noise = held.filter(beatsNoise).length
  const outcome = zero === 0 ? 'useless' : zero < all || noise < all ? 'mixed' : 'useful'
  const of = (count: number): string =>
    count === 0 ? 'none' : count === all ? 'all' : String(count)
  const counts =
    `better than zero on ${of(zero)} of ${all} weight ${all === 1 ? 'type' : 'types'}, ` +
    `than the neighbours’ mean on ${of(mean)}, than noise of its own size on ${of(noise)}`
  return {
    outcome,
    sentence: `${isOne ? 'Layer' : 'Layers'} ${listLayers(layers)}, which ${isOne ? 'was' : 'were'} kept out of training, ${isOne ? 'is' : 'are'} predicted ${counts}${meaningOf({ all, zero, noise })}.`,
  }
}

/** What the counts amount to. */
function meaningOf({
  all,
  zero,
  noise,
}: Readonly<Record<'all' | 'zero' | 'noise', number>>): string {
  if (zero === 0) return '; what the predictors get right in training they recall'
  if (zero < all) return '; elsewhere the predictors recall what they saw in training'
  return noise === all ? '' : '; where it is no better than noise its direction is missed'
}
