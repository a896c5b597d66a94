/** @file Schemas of what a project's folder holds. */
import { COMPARISON_STATES, comparisonRequestSchema } from '@shared/comparisons'
import { DEVICES } from '@shared/devices'
import { ERROR_CODES, type AppErrorData } from '@shared/errors'
import { EXPORT_CHECKS } from '@shared/exports'
import { TENSOR_DTYPES, type DescentResult, type ExpandResult } from '@shared/jobs'
import { methodSchema } from '@shared/methods/schema'
import {
  DEFAULT_DRAFT,
  projectDraftSchema,
  projectNameSchema,
  runIdSchema,
  runSettingsSchema,
  subjectSchema,
  textIdSchema,
} from '@shared/projects'
import { trainingRecordSchema } from '@shared/trainingRecord'
import { trainingIdSchema, trainingSettingsSchema } from '@shared/trainings'
import { fitReportSchema } from '@shared/fitRecord'
import { z } from 'zod'

export const SCHEMA_VERSION = 1

const digest = z.string().regex(/^[0-9a-f]{64}$/)
const time = z.number().nonnegative()
const count = z.int().nonnegative()

/** How the base model is recognised wherever it lies. */
const modelSchema = z.object({
  /** With `/` between names: relative to the project's folder when it lies in it or beside it, else absolute. */
  path: z.string().max(4096),
  name: z.string().max(1000),
  /** `null` in a project that was recovered from a damaged file: the next model that is named is taken. */
  digest: digest.nullable(),
  shape: digest.nullable(),
})

const textSchema = z.object({
  id: textIdSchema,
  name: z.string().min(1).max(1000),
  bytes: count,
})

/** As many numbers in either. */
const lossesByWindowSchema = z
  .object({ windowNll: z.array(z.number()).readonly(), windowTokens: z.array(count).readonly() })
  .refine(({ windowNll, windowTokens }) => windowNll.length === windowTokens.length)

const perplexitySchema = z.object({
  subject: subjectSchema,
  text: textIdSchema,
  context: z.int().min(2),
  perLine: z.boolean(),
  perplexity: z.number().nullable(),
  tokens: count,
  predicted: count,
  standardError: z.number().nonnegative().nullable().default(null),
  losses: lossesByWindowSchema.nullable().default(null),
  againstBase: z
    .object({
      kl: z.number(),
      kl_standard_error: z.number().nonnegative().nullable(),
      top1_agreement: z.number().min(0).max(1),
    })
    .nullable()
    .default(null),
  seconds: z.number().nonnegative(),
  device: z.string().max(100),
  measuredAt: time,
})

const errorSchema = z
  .object({
    code: z.enum(ERROR_CODES),
    message: z.string(),
    hint: z.string().optional(),
    context: z.record(z.string(), z.string()).optional(),
  })
  .transform((error) => error as AppErrorData)

const comparisonSchema = z.object({
  request: comparisonRequestSchema,
  state: z.enum(COMPARISON_STATES),
  runs: z.array(runIdSchema),
  /** Those that it has begun itself, which stopping it cancels. */
  own: z.array(runIdSchema),
  impossible: z.array(z.object({ method: methodSchema, reason: z.string() })),
  training: trainingIdSchema.nullable(),
  error: errorSchema.nullable(),
})

const deletedSchema = z.object({ runs: count, trainings: count })
const NONE_DELETED: z.infer<typeof deletedSchema> = { runs: 0, trainings: 0 }

export const projectFileSchema = z.object({
  schema_version: z.literal(SCHEMA_VERSION),
  name: projectNameSchema,
  notes: z.string().max(100_000),
  createdAt: time,
  model: modelSchema,
  draft: projectDraftSchema,
  texts: z.array(textSchema).max(1_000),
  perplexities: z.array(perplexitySchema).max(100_000),
  /** Of all methods at one depth, the latest. */
  comparison: comparisonSchema.nullable().default(null),
  /** The highest numbers of what was deleted, so that no number is given twice. */
  deleted: deletedSchema.default(NONE_DELETED),
})

export type ProjectFile = z.infer<typeof projectFileSchema>

/**
 * Saves what is sound of a project file that is not: each part on its own, the rest by its default.
 *
 * @param fallback Name of a project that has lost its own.
 */
export function salvageProject(json: unknown, fallback: string, now: number): ProjectFile {
  const fields: Partial<Record<string, unknown>> =
    typeof json === 'object' && json !== null ? { ...json } : {}
  const part = <S extends z.ZodType>(schema: S, value: unknown, absent: z.infer<S>): z.infer<S> => {
    const parsed = schema.safeParse(value)
    return parsed.success ? parsed.data : absent
  }
  const list = <S extends z.ZodType>(schema: S, value: unknown): z.infer<S>[] =>
    (Array.isArray(value) ? value : []).flatMap((item) => {
      const parsed = schema.safeParse(item)
      return parsed.success ? [parsed.data] : []
    })
  const { shape } = projectFileSchema
  return {
    schema_version: SCHEMA_VERSION,
    name: part(shape.name, fields['name'], fallback),
    notes: part(shape.notes, fields['notes'], ''),
    createdAt: part(shape.createdAt, fields['createdAt'], now),
    model: part(modelSchema, fields['model'], { path: '', name: '', digest: null, shape: null }),
    draft: part(projectDraftSchema, fields['draft'], DEFAULT_DRAFT),
    texts: list(textSchema, fields['texts']),
    perplexities: list(perplexitySchema, fields['perplexities']),
    comparison: part(shape.comparison, fields['comparison'], null),
    deleted: part(deletedSchema, fields['deleted'], NONE_DELETED),
  }
}

const deviceSchema = z.object({ device: z.enum(DEVICES), reason: z.string() })

const heldOutFigures = z.object({
  mse: z.number(),
  mseOfZero: z.number(),
  mseOfMean: z.number(),
  normRatio: z.number(),
  cosine: z.number(),
})
const heldOutLayer = heldOutFigures.extend({ layer: count })

const reportSchema = z.object({
  weightType: z.string(),
  rank: count,
  samples: count,
  steps: count,
  lossPerEpoch: z.array(z.number()),
  mse: z.number(),
  mseOfZero: z.number(),
  mseOfMean: z.number(),
  normRatio: z.number(),
  holdout: z
    .union([
      heldOutFigures.extend({ layers: z.array(heldOutLayer).min(1) }),
      // Before it could be several layers it was one.
      heldOutLayer.transform(({ layer, ...figures }) => ({
        ...figures,
        layers: [{ layer, ...figures }],
      })),
    ])
    .optional(),
})

const resultSchema = z
  .object({
    kind: z.literal('expand'),
    out: z.string(),
    method: methodSchema,
    num_hidden_layers: count,
    new_layers: z.array(count),
    parameters: count,
    bytes: count,
    shards: count,
    device: deviceSchema.nullable(),
    seed: count,
    seconds: z.number().nonnegative(),
    predictors: z.array(reportSchema),
    fit: fitReportSchema.optional(),
    warnings: z.array(z.string()),
    left_out: z.array(z.object({ path: z.string(), reason: z.string() })).optional(),
  })
  .transform((result) => result as ExpandResult)

const exportSchema = z.object({
  out: z.string(),
  dtype: z.string(),
  bytes: count,
  at: time,
  checks: z.array(
    z.object({
      id: z.enum(EXPORT_CHECKS),
      state: z.enum(['passed', 'failed', 'skipped']),
      detail: z.string(),
    }),
  ),
})

const runTrainingSchema = z.object({
  training: trainingIdSchema,
  trainingName: projectNameSchema,
  run: runIdSchema,
  runName: projectNameSchema,
  records: z.array(trainingRecordSchema).min(1),
  seconds: z.number().nonnegative(),
})

const runElsewhereSchema = z.object({
  /** As that of the project's model. */
  path: z.string().min(1).max(4096),
  /** By which it is known whether the folder still holds what was compared. */
  digest,
  run: runIdSchema,
  runName: projectNameSchema,
  isTouched: z.boolean(),
  steps: count.nullable(),
})

const weightChange = {
  change: z.number(),
  norm: z.number(),
  relative: z.number().nullable(),
  max: z.number(),
}

/** What a comparison with a run's start has found. */
export const descentFileSchema: z.ZodType<DescentResult> = z.object({
  kind: z.literal('descent'),
  trained: z.string(),
  start: z.string(),
  architecture: z.string(),
  num_hidden_layers: count,
  new_layers: z.array(count),
  layers: z.array(
    z.object({
      ...weightChange,
      layer: count,
      is_new: z.boolean(),
      is_changed: z.boolean(),
      parts: z.array(z.object({ ...weightChange, part: z.string() })),
    }),
  ),
  outside: z.array(z.object({ ...weightChange, tensor: z.string() })),
  identical: count,
  converted: count,
  dtypes: z.object({ start: z.array(z.string()), trained: z.array(z.string()) }),
  rounded_to: z.enum(TENSOR_DTYPES).nullable(),
  non_finite: z.array(z.string()),
  warnings: z.array(z.string()),
  seconds: z.number().nonnegative(),
})

/** What every record of a job has. */
const jobFields = {
  schema_version: z.literal(SCHEMA_VERSION),
  name: projectNameSchema,
  state: z.enum([
    'queued',
    'running',
    'pausing',
    'cancelling',
    'succeeded',
    'failed',
    'cancelled',
    'paused',
    'interrupted',
  ]),
  createdAt: time,
  startedAt: time.nullable(),
  endedAt: time.nullable(),
  /** How often it was started. */
  attempts: count,
  /** Milliseconds that the attempts before the latest took; runs of before this was noted have forgotten. */
  earlierMs: time.default(0),
  /** The project's base model at its start. */
  base: modelSchema.pick({ name: true, digest: true, shape: true }),
  versions: z.object({ engine: z.string(), onnxruntime: z.string(), node: z.string() }).nullable(),
  device: deviceSchema.nullable(),
  timings: z.array(
    z.object({
      id: z.string(),
      label: z.string(),
      seconds: z.number().nonnegative().nullable(),
      /** Its result was another run's: the time is what it took then, 0 where nobody knows. */
      isKept: z.boolean().optional(),
    }),
  ),
  error: errorSchema.nullable(),
}

/** Of a run or a training. */
export type JobFile = z.infer<z.ZodObject<typeof jobFields>> & {
  readonly id: string
  readonly result: unknown
}

export const runFileSchema = z.object({
  ...jobFields,
  id: runIdSchema,
  settings: runSettingsSchema,
  layersBefore: count,
  layersAfter: count,
  newLayers: z.array(count),
  /** `out` in it is where the checkpoint was when it was made; it lies in the run's own folder. */
  result: resultSchema.nullable(),
  exports: z.array(exportSchema),
  /** Of a run that a training has made. */
  training: runTrainingSchema.nullable().default(null),
  /** Of a run whose model was trained elsewhere. */
  elsewhere: runElsewhereSchema.nullable().default(null),
})

export type RunFile = z.infer<typeof runFileSchema>

const endsSchema = z.object({ first: z.number(), last: z.number() }).nullable()
const lossesSchema = { loss: endsSchema, eval: endsSchema, forgetting: endsSchema }
const yardstickSchema = z
  .object({ eval: z.number().nullable(), forgetting: z.number().nullable() })
  .nullable()

const startResultSchema = z.object({
  run: runIdSchema,
  /** Where the job left the checkpoint, of which a run has been made since. */
  out: z.string().nullable(),
  seed: count,
  ...lossesSchema,
  steps: count,
  tokens: count,
  lr: z.number(),
  trained_layers: z.array(count),
  trained_parameters: count,
  seconds: z.number().nonnegative(),
  steps_to_reach: z.record(z.string(), z.number().nullable()),
  diverged: z.object({ step: count, loss: z.number().nullable() }).nullable(),
  repeats: z.array(z.object({ seed: count, ...lossesSchema })),
  trials: z.array(
    z.object({
      lr: z.number(),
      steps: count,
      loss: z.number().nullable(),
      seconds: z.number().nonnegative(),
    }),
  ),
})

export const trainingFileSchema = z.object({
  ...jobFields,
  id: trainingIdSchema,
  settings: trainingSettingsSchema,
  /** As `settings.runs` lists them, with the name that each had. */
  starts: z.array(z.object({ run: runIdSchema, name: projectNameSchema, method: methodSchema })),
  result: z
    .object({
      starts: z.array(startResultSchema),
      base: yardstickSchema,
      eval_tokens: count.nullable(),
      tokens_per_step: count,
      seconds: z.number().nonnegative(),
      trial_seconds: z.number().nonnegative(),
      warnings: z.array(z.string()),
    })
    .nullable(),
})

export type TrainingFile = z.infer<typeof trainingFileSchema>
