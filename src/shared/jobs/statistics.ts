import { modelNameOf } from '../hub'
import type { JobKind } from './kind'

/** Compute a checkpoint's statistics. */
export interface StatisticsSpec {
  readonly kind: 'statistics'
  readonly model: string
  /** Where they are kept, as JSON. */
  readonly file: string
}

export interface StatisticsResult {
  readonly kind: 'statistics'
  readonly model: string
  readonly file: string
  readonly seconds: number
}

export const statistics: JobKind<StatisticsSpec, StatisticsResult> = {
  kind: 'statistics',
  lane: 'light',
  mapPaths: (spec, at) => ({
    ...spec,
    model: at(spec.model, 'reads'),
    file: at(spec.file, 'keeps'),
  }),
  title: ({ model }) => `Statistics of ${modelNameOf(model)}`,
  doing: 'reading the weights',
}
