/**
 * @file Trainings of a project: which grown models are trained on which texts, what became of each, and which starts can
 * be compared with each other.
 */
import { z } from 'zod'
import type { DeviceDecision } from './devices'
import type { AppErrorData } from './errors'
import {
  DEFAULT_SHARD_BYTES,
  MAX_RACERS,
  pretrainSpecSchema,
  type JobState,
  type PretrainResult,
  type PretrainSpec,
} from './jobs'
import type { Method } from './methods'
import { PRETRAIN_DEFAULTS, type PretrainedModel, type TrainingCurves } from './pretraining'
import {
  projectNameSchema,
  runIdSchema,
  runSettingsSchema,
  textPlaceSchema,
  type RunDetail,
  type RunId,
  type RunSettings,
  type TextPlace,
} from './projects'

/** The name of a training's folder: `002-training`. */
export const trainingIdSchema = z.string().regex(/^\d{3,6}-training$/)
export type TrainingId = string

/** Folders for training only. */
export const trainingTextSchema = textPlaceSchema
export type TrainingText = TextPlace

/** What a training is asked to do: a `pretrain` job without the places, which the program chooses. */
export const trainingSettingsSchema = pretrainSpecSchema
  .omit({ kind: true, models: true, base: true, job: true, out: true, overwrite: true })
  .extend({
    /** The grown models to train, several for a race: runs that have succeeded, or that wait or run and are waited for. */
    runs: z.array(runIdSchema).min(1).max(MAX_RACERS),
    texts: z.array(trainingTextSchema).min(1).max(256),
    evalText: trainingTextSchema.optional(),
    forgettingText: trainingTextSchema.optional(),
  })
export type TrainingSettings = z.infer<typeof trainingSettingsSchema>

/** Everything but what is trained, and on what. */
export const DEFAULT_TRAINING: Omit<TrainingSettings, 'runs' | 'texts'> = defaultTraining()

function defaultTraining(): Omit<TrainingSettings, 'runs' | 'texts'> {
  const { steps, learningRate, ...others } = PRETRAIN_DEFAULTS
  return {
    ...others,
    amount: { steps },
    learningRates: [learningRate],
    train: 'new',
    trainedParts: 'all',
    device: 'auto',
    maxShardBytes: DEFAULT_SHARD_BYTES,
  }
}

/**
 * A training that is to be. The models that are to be grown first take part after those of `settings.runs`, which may then
 * be empty.
 */
export const trainingRequestSchema = z.object({
  settings: trainingSettingsSchema.extend({ runs: z.array(runIdSchema).max(MAX_RACERS) }),
  /** Grown before it, each as a run of its own: the settings of {@link StartChoice}s that are missing. */
  grow: z.array(runSettingsSchema).max(MAX_RACERS),
  name: projectNameSchema.optional(),
})
export type TrainingRequest = z.infer<typeof trainingRequestSchema>

/** Starts that a race compares unless somebody chooses others. */
export const COMPARED_STARTS: readonly Method[] = [
  'lesa',
  'llama-pro',
  'solar',
  'neighbour-mean',
  'noise',
]

/** A method at the depth of another, in the same gaps where it takes gaps. */
export type StartChoice = {
  readonly method: Method
  /** Whether it is one of {@link COMPARED_STARTS}. */
  readonly isCompared: boolean
} & (
  | {
      /** Grown already; or its job waits or runs, and a training waits for it. */
      readonly state: 'grown' | 'growing'
      readonly run: RunId
    }
  /** To be named in `grow` of a {@link TrainingRequest}. */
  | { readonly state: 'missing'; readonly settings: RunSettings }
  /** The method cannot make that depth; a sentence. */
  | { readonly state: 'impossible'; readonly reason: string }
)

/** First and last value of a curve. */
export interface CurveEnds {
  readonly first: number
  readonly last: number
}

/** Of each curve of a training; `null` for one that has no point. */
export interface CurvesEnds {
  readonly seed: number
  readonly loss: CurveEnds | null
  readonly eval: CurveEnds | null
  readonly forgetting: CurveEnds | null
}

/**
 * What became of one of the models: a {@link PretrainedModel} whose curves are asked for by `trainings:series`. Losses that
 * are no number are `null`.
 */
export interface TrainedStart
  extends
    Omit<
      PretrainedModel,
      keyof TrainingCurves | 'model' | 'name' | 'out' | 'repeats' | 'diverged' | 'trials'
    >,
    CurvesEnds {
  /** Which run it was before; the names in `steps_to_reach` are runs too. */
  readonly run: RunId
  /** The run that it has become; `null` where it diverged, or that run was deleted. */
  readonly trained: RunId | null
  /** The same with further seeds. */
  readonly repeats: readonly CurvesEnds[]
  readonly diverged: { readonly step: number; readonly loss: number | null } | null
  readonly trials: readonly {
    readonly lr: number
    readonly steps: number
    readonly loss: number | null
    readonly seconds: number
  }[]
}

/** Its seconds are those of the attempt that finished it. */
export interface TrainingResult extends Omit<PretrainResult, 'kind' | 'results' | 'device'> {
  /** As `settings.runs` lists them. */
  readonly starts: readonly TrainedStart[]
}

/** A training in lists. States are those of jobs; `interrupted` means that the program ended while it was open. */
export interface TrainingSummary {
  readonly id: TrainingId
  readonly name: string
  readonly state: JobState
  /** Its latest job, while the program that ran it is open: `jobs:get` has its progress and live curves. */
  readonly job: string | null
  readonly createdAt: number
  readonly startedAt: number | null
  readonly endedAt: number | null
  /** Milliseconds that the attempts before the latest one took. */
  readonly earlierMs: number
  readonly settings: TrainingSettings
  /**
   * What takes part, as `settings.runs` lists it. The names of series (`curveSeries`) have the run's id. `exists` is false
   * once the run was deleted; name and method are those of the start, or now.
   */
  readonly starts: readonly {
    readonly run: RunId
    readonly name: string
    readonly method: Method
    readonly exists: boolean
  }[]
  /** Runs that have to be grown before it begins. */
  readonly waitsFor: readonly RunId[]
  readonly device: DeviceDecision | null
  /** Present once it has succeeded. */
  readonly result: TrainingResult | null
  /** Also says which start is missing where one was not grown. */
  readonly error: AppErrorData | null
  /** Whether work of an earlier attempt is kept, so that `trainings:resume` goes on rather than starts again. */
  readonly canResume: boolean
  /** Bytes of that work: tokens, states. */
  readonly workBytes: number
  /** False when the project has another base model now: it cannot be gone on with. */
  readonly isOfThisModel: boolean
}

/** A training with what is kept of it beside its figures; its curves are asked for by `trainings:series`. */
export interface TrainingDetail extends Pick<RunDetail, 'versions' | 'timings' | 'log'> {
  readonly training: TrainingSummary
  /** The job, without what only this machine says of it. */
  readonly spec: PretrainSpec
}
