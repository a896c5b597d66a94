import { pooled } from '@shared/holdout'
import type { HeldOutFigures, PredictorReport } from '@shared/jobs'

/** What is reported of held-out layers that all turned out alike. */
export function heldOut(
  layers: readonly number[],
  figures: Partial<HeldOutFigures>,
): NonNullable<PredictorReport['holdout']> {
  const all = { mse: 1, mseOfZero: 1, mseOfMean: 1, normRatio: 1, cosine: 0, ...figures }
  const each = layers.map((layer) => ({ layer, ...all }))
  return { ...pooled(each), layers: each }
}
