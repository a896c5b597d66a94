import { z } from 'zod'
import type { DampingReport } from '../damping'
import type { DeviceDecision } from '../devices'
import type { ExpertReport, RoutingReport } from '../experts'
import type { LeftOutFile } from '../exports'
import type { FitReport } from '../fit'
import { METHOD_NAMES, type Method } from '../methods'
import { growthFields, mapGrowthPaths } from './growth'
import type { RequestedKind } from './kind'
import { outputFields, path, recipesField } from './output'

/** Grow a checkpoint. */
export const expandSpecSchema = z.object({
  kind: z.literal('expand'),
  ...growthFields,
  ...outputFields,
  ...recipesField,
  /** Folder that keeps the results of stages for a later run. */
  job: path.optional(),
})
export type ExpandSpec = z.infer<typeof expandSpecSchema>

/** How one weight type's predictor turned out. */
export interface PredictorReport {
  readonly weightType: string
  /** Directions of the shared basis; rows of a layer without SVD. */
  readonly rank: number
  readonly samples: number
  readonly steps: number
  /** Mean training loss of each epoch, in order. */
  readonly lossPerEpoch: readonly number[]
  /** Over all training samples: mean squared errors and ‖prediction‖_F / ‖target‖_F. */
  readonly mse: number
  readonly mseOfZero: number
  readonly mseOfMean: number
  readonly normRatio: number
  /** How layers are predicted by predictors that had them neither as targets nor as neighbours: each, and all as one. */
  readonly holdout?: HeldOutFigures & {
    readonly layers: readonly (HeldOutFigures & { readonly layer: number })[]
  }
}

/** As in {@link PredictorReport}, of layers that were kept out of training. */
export interface HeldOutFigures {
  readonly mse: number
  readonly mseOfZero: number
  readonly mseOfMean: number
  readonly normRatio: number
  readonly cosine: number
}

/** Result of an `expand` job; the names are those of the command line's JSON. */
export interface ExpandResult {
  readonly kind: 'expand'
  readonly out: string
  readonly method: Method
  readonly num_hidden_layers: number
  /** Indices of the new layers in the new model. */
  readonly new_layers: readonly number[]
  readonly parameters: number
  readonly bytes: number
  readonly shards: number
  readonly device: DeviceDecision | null
  readonly seed: number
  readonly seconds: number
  readonly predictors: readonly PredictorReport[]
  /** Of a start that was fitted to a text. */
  readonly fit?: FitReport
  /** How the damping was chosen, where it was. */
  readonly damping?: DampingReport
  /** Whether the base model's experts correspond along its layers, where new ones are made from several. */
  readonly experts?: ExpertReport
  /** How new routers were scaled, where a text is given. */
  readonly routing?: RoutingReport
  readonly warnings: readonly string[]
  /** Files of the base model that were not copied; absent from results of earlier versions. */
  readonly left_out?: readonly LeftOutFile[]
}

export const expand: RequestedKind<ExpandSpec, ExpandResult> = {
  kind: 'expand',
  schema: expandSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...mapGrowthPaths(spec, at),
    out: at(spec.out, 'writes'),
    ...(spec.job === undefined ? {} : { job: at(spec.job, 'keeps') }),
  }),
  title: ({ method }, run) =>
    run === undefined
      ? `Growing with ${METHOD_NAMES[method.name]}`
      : `${run}: growing with ${METHOD_NAMES[method.name]}`,
  doing: 'growing the model',
  // A trained predictor is kept with the layers that it predicts; a written model needs its pictures only.
  isKeptBefore: (step) => /\/(?:decompose|train)$|^fit\/(?!texts)|^write$/.test(step),
}
