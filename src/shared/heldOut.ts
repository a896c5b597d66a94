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

/** What a layer that was kept out of training says of the predictors, over all weight types. */
export interface HeldOutVerdict {
  /** `useful`: all are better than predicting zero; `useless`: none is. `untested` without such a layer. */
  readonly outcome: 'useful' | 'mixed' | 'useless' | 'untested'
  readonly sentence: string
}

/** Below this a cosine is that of directions without anything in common. */
export const NO_COSINE = 0.05

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
  const held = own.flatMap(({ holdout }) => (holdout ? [holdout] : []))
  const [first] = held
  if (!first) {
    return {
      outcome: 'untested',
      sentence:
        'No layer was kept out of training, so nothing says how well an unseen layer would be predicted.',
    }
  }
  const all = held.length
  const better = held.filter(({ mse, mseOfZero }) => mse < mseOfZero).length
  const aboveMean = held.filter(({ mse, mseOfMean }) => mse < mseOfMean).length
  const outcome = better === all ? 'useful' : better === 0 ? 'useless' : 'mixed'
  const cosine = held.reduce((sum, report) => sum + report.cosine, 0) / all
  const types = `${all} weight ${all === 1 ? 'type' : 'types'}`
  const zero = {
    useful: `better than predicting zero on all ${types}, better than the neighbours’ mean on ${aboveMean}`,
    mixed: `no better than predicting zero on ${all - better} of ${types}`,
    useless: `no better than predicting zero on any of ${types}`,
  }[outcome]
  const meaning = {
    useful: Math.abs(cosine) < NO_COSINE ? ', yet its direction is missed' : '',
    mixed: '; there the predictors recall what they saw in training',
    useless: '; what the predictors get right in training they recall',
  }[outcome]
  return {
    outcome: outcome === 'useful' && Math.abs(cosine) < NO_COSINE ? 'mixed' : outcome,
    sentence: `Layer ${first.layer}, which was kept out of training, is predicted ${zero}${meaning}.`,
  }
}
