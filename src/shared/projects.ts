import { z } from 'zod'
import { DEVICE_CHOICES, type DeviceChoice, type DeviceDecision } from './devices'
import type { AppErrorData } from './errors'
import type { ExportCheck } from './exports'
import {
  DEFAULT_SHARD_BYTES,
  OUTPUT_DTYPES,
  path,
  type ExpandResult,
  type ExpandSpec,
  type JobSnapshot,
  type JobState,
} from './jobs'
import { GENERATION } from './generation'
import { generateSpecSchema } from './jobs/generate'
import { calibrationSchema, growthFields, MAX_ALSO } from './jobs/growth'
import { CONTEXT_TOKENS, SEED } from './bounds'
import type { MethodComparison } from './comparisons'
import type { MeasuredLosses } from './difference'
import { usesPredictions, type HeldOutVerdict } from './heldOut'
import {
  ALL_OPTIONS,
  canAlign,
  canDamp,
  DEFAULT_METHOD,
  fitsText,
  learns,
  methodNamed,
  REST_CHOICES,
  type Method,
  type MethodSpec,
  type OptionKey,
  type RestChoice,
} from './methods'
import { defaultOf, isOptional, usedOptions, type Option } from './methods/options'
import {
  draftOptionSchemas,
  methodSchema,
  methodSpecSchema,
  numberSchema,
  presetSchema,
  type DraftOptions,
} from './methods/schema'
import type { ModelSummary } from './model'
import type { TrainingRecord } from './pretraining'
import type { TrainingId, TrainingSummary } from './trainings'
import { PRESET_SETTINGS, type PredictorPreset } from './predictorSettings'
import type { Divergence } from './verdict'

/** Opaque, the same whenever the same folder is opened. */
export const projectIdSchema = z.string().regex(/^[0-9a-f]{16}$/)
export type ProjectId = string

/** The name of a run's folder: `003-lesa`. */
export const runIdSchema = z.string().regex(/^\d{3,6}-[a-z-]{1,32}$/)
export type RunId = string

export const textIdSchema = z.string().regex(/^[0-9a-f]{16}$/)
/** The first half of the text's SHA-256. */
export type TextId = string

export const projectNameSchema = z.string().trim().min(1).max(100)

/** A text of the project, or a file or folder of the machine that the program runs on. */
export const textPlaceSchema = z.union([z.object({ text: textIdSchema }), z.object({ path })])
export type TextPlace = z.infer<typeof textPlaceSchema>

/** What a start is fitted to, or a factor chosen on: a job's `calibration`, with texts of the project. */
export const runCalibrationSchema = calibrationSchema.extend({
  text: textPlaceSchema,
  oldText: textPlaceSchema.optional(),
})
export type RunCalibration = z.infer<typeof runCalibrationSchema>

/** What any method may be asked for beside its own options, as far as it makes sense of it. */
const startFields = {
  also: growthFields.also,
  calibration: runCalibrationSchema.optional(),
  damp: growthFields.damp,
  align: growthFields.align,
}
type StartFields = z.infer<z.ZodObject<typeof startFields>>

/**
 * What the Plan and Parameters views hold, kept with the project as it is being edited. `null` takes the default for
 * the model's depth. What another method would use is kept too, so that switching back loses nothing.
 */
export interface ProjectDraft extends DraftOptions {
  readonly method: Method
  /** What values are compared with to mark those that differ. */
  readonly preset: PredictorPreset
  readonly rest: RestChoice
  /** `null` as long as no text was chosen. */
  readonly calibration: RunCalibration | null
  /** `null`: new layers as they were computed. */
  readonly damp: StartFields['damp'] | null
  readonly align: boolean
  /** Folders of further checkpoints that predictors learn from. */
  readonly also: readonly string[]
  readonly device: DeviceChoice
  readonly seed: number
}

export const projectDraftSchema = z.object({
  method: methodSchema,
  ...draftOptionSchemas,
  preset: presetSchema,
  rest: z.enum(REST_CHOICES),
  // Drafts of before these were there have none of them.
  calibration: runCalibrationSchema.nullable().default(null),
  damp: growthFields.damp.nullable().default(null),
  align: z.boolean().default(false),
  also: z.array(path).max(MAX_ALSO).default([]),
  device: z.enum(DEVICE_CHOICES),
  seed: numberSchema(SEED),
}) as z.ZodType<unknown> as z.ZodType<ProjectDraft>

export const DEFAULT_DRAFT: ProjectDraft = {
  method: DEFAULT_METHOD,
  ...(Object.fromEntries(
    ALL_OPTIONS.map(([key, option]) => [key, draftDefault(option)]),
  ) as unknown as DraftOptions),
  preset: 'paper',
  rest: 'mean',
  calibration: null,
  damp: null,
  align: false,
  also: [],
  device: 'auto',
  seed: 0,
}

function draftDefault(option: Option): unknown {
  if (isOptional(option)) return null
  return option.kind === 'predictor' ? PRESET_SETTINGS.paper : defaultOf(option)
}

/** What a run is asked to do: an expand job without the places, which the program chooses. */
export const runSettingsSchema = z.object({
  method: methodSpecSchema,
  rest: z.enum(REST_CHOICES),
  ...startFields,
  dtype: z.enum(OUTPUT_DTYPES),
  maxShardBytes: z.int().min(1_000),
  device: z.enum(DEVICE_CHOICES),
  seed: z.int().min(0).max(0xffff_ffff),
})

export type RunSettings = z.infer<typeof runSettingsSchema>

/** The run that a draft describes. */
export function runSettingsOf(draft: ProjectDraft): RunSettings {
  const { also, calibration, damp, align } = draft
  return {
    method: methodOf(draft),
    rest: draft.rest,
    ...startFieldsOf(draft.method, {
      also,
      calibration: calibration ?? undefined,
      damp: damp ?? undefined,
      align,
    }),
    dtype: 'keep',
    maxShardBytes: DEFAULT_SHARD_BYTES,
    device: draft.device,
    seed: draft.seed,
  }
}

/** Of what any method may be asked for, that which this one makes use of. */
export function startFieldsOf(
  name: Method,
  { also = [], calibration, damp, align }: StartFields,
): StartFields {
  return {
    ...(also.length > 0 && learns(name) ? { also } : {}),
    ...(calibration && (fitsText(name) || (damp === 'auto' && canDamp(name)))
      ? { calibration }
      : {}),
    ...(damp !== undefined && canDamp(name) ? { damp } : {}),
    ...(align === true && canAlign(name) ? { align } : {}),
  }
}

function methodOf(draft: ProjectDraft): MethodSpec {
  // A choice that excludes another is left out where the other one was made for this method.
  const options = usedOptions(methodNamed(draft.method).options, { ...draft }).flatMap(
    ([key, option]) => {
      const value = draft[key as OptionKey]
      const isUnused =
        value === null || (option.kind === 'layers' && !usesPredictions(draft.method))
      return isUnused ? [] : [[key, value] as const]
    },
  )
  return { name: draft.method, ...Object.fromEntries(options) } as MethodSpec
}

/** What may be changed of a project by `projects:update`; what is left out stays. */
export const projectPatchSchema = z.object({
  notes: z.string().max(100_000).optional(),
  draft: projectDraftSchema.optional(),
})
export type ProjectPatch = z.infer<typeof projectPatchSchema>

/** The project's base model as it is found now. */
export type ProjectModel =
  | {
      readonly state: 'ready'
      readonly path: string
      readonly name: string
      readonly summary: ModelSummary
    }
  /** Nothing is where it was: ask for the new place and call `projects:relocateModel`. */
  | { readonly state: 'missing'; readonly path: string; readonly name: string }
  /** Another checkpoint is where it was: runs would not be comparable. Relocate, or accept it there. */
  | {
      readonly state: 'changed'
      readonly path: string
      readonly name: string
      readonly summary: ModelSummary
    }
  /** It is there but cannot be read. */
  | {
      readonly state: 'broken'
      readonly path: string
      readonly name: string
      readonly error: AppErrorData
    }

/** What `projects:relocateModel` found. */
export type Relocation =
  | { readonly outcome: 'relocated'; readonly project: ProjectView }
  /**
   * Another checkpoint. With `isCompatible` (same architecture, depth and shapes) it can be taken after all by calling
   * again with `acceptDifferent`; without, it cannot.
   */
  | {
      readonly outcome: 'different'
      readonly isCompatible: boolean
      /** How it differs, in sentences. */
      readonly differences: readonly string[]
    }

/** A text that perplexity is measured on; the file is copied into the project. */
export interface ProjectText {
  readonly id: TextId
  /** Of the file it was taken from. */
  readonly name: string
  readonly bytes: number
  readonly exists: boolean
}

/**
 * The longest text that comes from a window, in bytes of its JSON: longer ones are chosen by their path, where the
 * program runs.
 */
export const MAX_UPLOAD_BYTES = 4_000_000

/** A file by its path, or a text that was pasted or read by the window. */
export const textSourceSchema = z.union([
  z.string().min(1).max(4096),
  z.object({ name: z.string().trim().min(1).max(255), content: z.string().max(MAX_UPLOAD_BYTES) }),
])
export type TextSource = z.infer<typeof textSourceSchema>

/** What adding a text came to. */
export interface TextAddition {
  readonly project: ProjectView
  /** The text of this content: one that was there before keeps its name. */
  readonly text: ProjectText
  readonly isNew: boolean
}

/** What perplexities belong to: the base model (`base`), or a run's grown one. */
export const subjectSchema = z.union([z.literal('base'), runIdSchema])
export type Subject = RunId

/** One measured perplexity. Two are comparable when text, context, and `perLine` are equal. */
export interface Perplexity {
  readonly subject: Subject
  readonly text: TextId
  readonly context: number
  readonly perLine: boolean
  /** `null` when it is beyond what a number holds. */
  readonly perplexity: number | null
  readonly tokens: number
  readonly predicted: number
  /** As in `PerplexityResult`; `null` also where it was measured before there was one. */
  readonly standardError: number | null
  /**
   * Window by window, many windows joined with their neighbours, for differences between models; `null` where it was
   * measured before they were kept.
   */
  readonly losses: MeasuredLosses | null
  /** `null` of the base itself, and where it was measured without it. */
  readonly againstBase: Divergence | null
  readonly seconds: number
  readonly device: string
  readonly measuredAt: number
}

export const evaluationRequestSchema = z.object({
  text: textIdSchema,
  subjects: z.array(subjectSchema).min(1).max(64),
  /** Tokens per window; the model's own context, at most 2048, by default. */
  context: z.int().min(CONTEXT_TOKENS.min).max(CONTEXT_TOKENS.max).optional(),
  perLine: z.boolean(),
  device: z.enum(DEVICE_CHOICES),
})
export type EvaluationRequest = z.infer<typeof evaluationRequestSchema>

/** A text to continue with the base and grown models. */
export const continuationRequestSchema = generateSpecSchema
  .omit({ kind: true, models: true, memoryBytes: true, deviceMemoryBytes: true })
  .extend({
    subjects: z.array(subjectSchema).min(GENERATION.models.min).max(GENERATION.models.max),
  })
export type ContinuationRequest = z.infer<typeof continuationRequestSchema>

/** Where a run's model comes from that was trained after it had been grown. */
export interface RunTraining {
  /** The training, which may have been deleted since, and its name then. */
  readonly training: TrainingId
  readonly trainingName: string
  /** The run as which it was grown, which may have been deleted since, and its name then. */
  readonly run: RunId
  readonly runName: string
  /** What its `lesa.json` and its model card tell of each training, the last one's last. */
  readonly records: readonly TrainingRecord[]
  /** That its trainings took, without reading texts, evaluations and trials. */
  readonly seconds: number
}

/** Where a run's model comes from that was trained elsewhere: a folder of the person's, which is only read. */
export interface RunElsewhere {
  /** Absolute. */
  readonly path: string
  /** Whether its weights are still those that were compared; otherwise the run has no model. */
  readonly state: 'ready' | 'changed' | 'missing'
  /** The run whose model the training began from, which may have been deleted since, and its name then. */
  readonly run: RunId
  readonly runName: string
  /** Whether anything but the new layers was changed. */
  readonly isTouched: boolean
  /** Of all trainings that its own `lesa.json` tells of; `null` where it tells of none. */
  readonly steps: number | null
}

/** A checkpoint that was trained elsewhere, which is to become a run. */
export const trainedCheckpointSchema = z.object({ path, run: runIdSchema })
export type TrainedCheckpoint = z.infer<typeof trainedCheckpointSchema>

/** Which of a project's runs a trained checkpoint can have come from. */
export interface TrainedMatch {
  /** Absolute. */
  readonly path: string
  readonly layers: number
  /** Of that depth, with a model to compare with; newest first. */
  readonly runs: readonly RunId[]
  /** The one that its `lesa.json` tells of, or the only one. */
  readonly best: RunId | null
}

/** An export that was made of a run. */
export interface ExportRecordEntry {
  readonly out: string
  readonly dtype: string
  readonly bytes: number
  readonly at: number
  readonly checks: readonly ExportCheck[]
}

/** A run in lists. States are those of jobs; `interrupted` means that the program ended while it was open. */
export interface RunSummary {
  readonly id: RunId
  readonly name: string
  readonly method: Method
  readonly state: JobState
  /** Its latest job, while the program that ran it is open: `jobs:get` has its progress. */
  readonly job: string | null
  readonly createdAt: number
  readonly startedAt: number | null
  readonly endedAt: number | null
  /** Milliseconds that the attempts before the latest one took. */
  readonly earlierMs: number
  readonly settings: RunSettings
  readonly layersBefore: number
  readonly layersAfter: number
  readonly newLayers: readonly number[]
  readonly device: DeviceDecision | null
  /** Present once it has succeeded; its seconds are those of all attempts. */
  readonly result: ExpandResult | null
  readonly error: AppErrorData | null
  /** Whether the grown checkpoint is (still) on disk; without it the run can be shown and run again, not exported. */
  readonly model: { readonly path: string; readonly bytes: number } | null
  readonly hasAnalysis: boolean
  /** Whether work of an earlier attempt is kept, so that `runs:resume` goes on rather than starts again. */
  readonly canResume: boolean
  /** False when it was made from another base model than the project has now. */
  readonly isOfThisModel: boolean
  readonly exports: readonly ExportRecordEntry[]
  /**
   * Of a model that a training has made of a run's, which is a run of its own, with the settings and the result of that
   * run's growth. It cannot be run again; its new layers are not what the method made of them any more.
   */
  readonly training: RunTraining | null
  /** Of a model that was trained elsewhere since it had been grown; else as with `training`. */
  readonly elsewhere: RunElsewhere | null
}

/** Whether the new layers are not what the method made of them any more. */
export function wasTrained({
  training,
  elsewhere,
}: {
  readonly training: unknown
  readonly elsewhere: unknown
}): boolean {
  return training !== null || elsewhere !== null
}

/** How long a step of a run took. */
export interface StepTiming {
  readonly id: string
  readonly label: string
  /** `null` for what has not been finished. */
  readonly seconds: number | null
  /** Its result was another run's: the time is what it took then, 0 where nobody knows. */
  readonly isKept?: boolean | undefined
}

/** A run with what is kept of it beside its figures. */
export interface RunDetail {
  readonly run: RunSummary
  readonly versions: {
    readonly engine: string
    readonly onnxruntime: string
    readonly node: string
  }
  readonly spec: ExpandSpec
  /** Steps with how long each took, whichever attempt finished it. */
  readonly timings: readonly StepTiming[]
  readonly log: JobSnapshot['log']
  /** Names of the recorded series with their numbers of points. */
  readonly series: readonly { readonly name: string; readonly points: number }[]
}

/** Every point of a run's series, or fewer: `isSampled` when lowest and highest of each stretch stand for it. */
export interface RunSeries {
  readonly series: Readonly<
    Record<
      string,
      { readonly x: readonly number[]; readonly y: readonly number[]; readonly isSampled: boolean }
    >
  >
}

/** A file of a project that could not be read and was put aside. */
export interface ProjectProblem {
  /** Relative to the project's folder. */
  readonly file: string
  /** The name it has now; `null` when it was left in place. */
  readonly setAside: string | null
  /** What is wrong with it, and what that means for the project. */
  readonly message: string
}

/** Everything about an open project except the numbers of its runs. */
export interface ProjectView {
  readonly id: ProjectId
  /** The folder. */
  readonly path: string
  readonly name: string
  readonly notes: string
  readonly createdAt: number
  readonly model: ProjectModel
  readonly draft: ProjectDraft
  readonly texts: readonly ProjectText[]
  /** Newest first. */
  readonly runs: readonly RunSummary[]
  readonly perplexities: readonly Perplexity[]
  /** Newest first. */
  readonly trainings: readonly TrainingSummary[]
  /** Of all methods at one depth, the latest; `null` before the first. */
  readonly comparison: MethodComparison | null
  /** Finished stages that later runs can use, and what unfinished trainings can go on from. */
  readonly workBytes: number
  readonly problems: readonly ProjectProblem[]
}

/** A row of the comparison. */
export interface CompareRow {
  readonly subject: Subject
  readonly name: string
  /** `null` for the base. */
  readonly method: Method | null
  readonly layers: number
  readonly newLayers: number
  readonly parameters: number
  readonly bytes: number
  readonly seconds: number | null
  readonly device: string | null
  readonly perplexities: readonly Perplexity[]
  /**
   * Means over the weight types, geometric: below 1 is better than the yardstick. `null` where the new layers are no
   * predictions, also for a control that trains predictors.
   */
  readonly quality: {
    readonly errorOverZero: number
    readonly errorOverMean: number
    /** On the layers that were kept out of training. */
    readonly heldOutOverZero: number | null
    readonly heldOutOverMean: number | null
    readonly heldOutCosine: number | null
  } | null
  /** That it was trained for since it was grown, all trainings together; `null` for one that was not. */
  readonly trainedSteps: number | null
  /** Trained elsewhere; the steps may not be known. */
  readonly isTrainedElsewhere: boolean
  /** What the held-out layers say of the prediction; `null` where nothing is predicted. */
  readonly verdict: HeldOutVerdict | null
  /** Every setting as people read it, keyed by {@link Comparison.settings}. */
  readonly settings: Readonly<Record<string, string>>
}

export interface Comparison {
  readonly rows: readonly CompareRow[]
  /** Of the base model, and so of all; `null` where it is not known. */
  readonly vocabularySize: number | null
  /** Every setting that any row has, in the order of the forms; see {@link settingDiffers}. */
  readonly settings: readonly {
    readonly key: string
    readonly label: string
    /** Whether it decides where new layers go. */
    readonly isLayout: boolean
    readonly differs: boolean
  }[]
  /** The measurements that any row has: columns of the table. */
  readonly measurements: readonly {
    readonly text: TextId
    readonly name: string
    readonly context: number
    readonly perLine: boolean
    readonly tokens: number
  }[]
}

/**
 * Whether runs differ in a setting: those that have it have other values, or it decides where new layers go and some
 * runs' method has no such setting. What else a method lacks is no difference that anybody chose.
 */
export function settingDiffers(
  { key, isLayout }: { readonly key: string; readonly isLayout: boolean },
  runs: readonly Pick<CompareRow, 'settings'>[],
): boolean {
  const values = runs.map(({ settings }) => settings[key])
  const known = values.filter((value) => value !== undefined)
  return new Set(known).size > 1 || (isLayout && known.length > 0 && known.length < runs.length)
}
