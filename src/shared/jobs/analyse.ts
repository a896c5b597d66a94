import type { JobKind } from './kind'

/** Measure the layers of a grown model that was trained since, for its pictures. */
export interface AnalyseSpec {
  readonly kind: 'analyse'
  readonly model: string
  /** The analysis of the model before: its layers, and what training does not change, are taken from it. */
  readonly before: string
}

export interface AnalyseResult {
  readonly kind: 'analyse'
  readonly seconds: number
}

export const analyse: JobKind<AnalyseSpec, AnalyseResult> = {
  kind: 'analyse',
  lane: 'light',
  mapPaths: (spec, at) => ({
    ...spec,
    model: at(spec.model, 'reads'),
    before: at(spec.before, 'reads'),
  }),
  title: (_spec, run) => (run === undefined ? 'Measuring layers' : `${run}: measuring layers`),
  doing: 'measuring layers',
}
