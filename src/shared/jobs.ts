import { z } from 'zod'
import { DEVICE_CHOICES, type DeviceDecision } from './devices'
import type { AppErrorData } from './errors'
import type { ExportCheck } from './exports'
import { methodSpecSchema, REST_CHOICES, type Method } from './methods'
import type { JobOwner } from './projects'
import { WEIGHT_TYPES, type WeightType } from './weightTypes'

/** Stored element types of a checkpoint's tensors that the engine reads and writes. */
export const TENSOR_DTYPES = ['BF16', 'F16', 'F32'] as const
export type TensorDtype = (typeof TENSOR_DTYPES)[number]

/** `keep` stores every tensor as the base model does. */
export const OUTPUT_DTYPES = ['keep', 'bf16', 'f16', 'f32'] as const
export type OutputDtype = (typeof OUTPUT_DTYPES)[number]

/** Default shard size, 5 GB: what huggingface_hub and transformers 4 write. */
export const DEFAULT_SHARD_BYTES = 5e9

const path = z.string().min(1).max(4096)

/** What decides the grown model's weights. */
const growthFields = {
  model: path,
  method: methodSpecSchema,
  rest: z.enum(REST_CHOICES),
  dtype: z.enum(OUTPUT_DTYPES),
  device: z.enum(DEVICE_CHOICES),
  seed: z.int().min(0).max(0xffff_ffff),
  /** A bound on host memory that the job keeps; without one it takes what is free. */
  memoryBytes: z.int().min(1).optional(),
  /** Memory of a GPU that layers and samples may take to stay there; 4 GB without it. */
  deviceMemoryBytes: z.int().min(1).optional(),
}

/** Where and how a checkpoint is written. */
const outputFields = {
  out: path,
  overwrite: z.boolean(),
  maxShardBytes: z.int().min(1_000),
}

/** Grow a checkpoint. */
export const expandSpecSchema = z.object({
  kind: z.literal('expand'),
  ...growthFields,
  ...outputFields,
  /** Folder that keeps the results of stages for a later run. */
  job: path.optional(),
})

/** Compute the new matrices of some weight types into a job's folder: LESA's stages, one machine's part of them. */
export const stagesSpecSchema = z.object({
  kind: z.literal('stages'),
  ...growthFields,
  job: path,
  only: z.array(z.enum(WEIGHT_TYPES)).min(1),
})

/** Write the checkpoint of a job's folder whose weight types are all there. */
export const assembleSpecSchema = z.object({
  kind: z.literal('assemble'),
  job: path,
  ...outputFields,
})

/** Measure perplexity of one or more checkpoints on one text. */
export const evaluateSpecSchema = z.object({
  kind: z.literal('evaluate'),
  models: z.array(path).min(1).max(64),
  text: path,
  /** Tokens per window; the default is the model's own context, at most 2048. */
  context: z.int().min(2).max(1_048_576).optional(),
  /** The mean of each line's perplexity (the authors' notebook) instead of the whole text's. */
  perLine: z.boolean(),
  device: z.enum(DEVICE_CHOICES),
})

/** Published models whose shape a synthetic checkpoint can take by name. */
export const SYNTH_PRESETS = ['llama-1.1b', 'llama3-8b', 'qwen2.5-1.5b'] as const
export type SynthPreset = (typeof SYNTH_PRESETS)[number]

/** Write a checkpoint of seeded random weights with a real model's shape. */
export const synthSpecSchema = z.object({
  kind: z.literal('synth'),
  /** By name, or by a `config.json` of any supported architecture. */
  like: z.union([z.object({ preset: z.enum(SYNTH_PRESETS) }), z.object({ config: path })]),
  /** The model's own depth by default. */
  layers: z.int().min(1).max(10_000).optional(),
  out: path,
  overwrite: z.boolean(),
  dtype: z.enum(['bf16', 'f16', 'f32']),
  maxShardBytes: z.int().min(1_000),
  seed: z.int().min(0).max(0xffff_ffff),
})

export const jobSpecSchema = z.discriminatedUnion('kind', [
  expandSpecSchema,
  evaluateSpecSchema,
  synthSpecSchema,
  stagesSpecSchema,
  assembleSpecSchema,
])

export type ExpandSpec = z.infer<typeof expandSpecSchema>
export type EvaluateSpec = z.infer<typeof evaluateSpecSchema>
export type SynthSpec = z.infer<typeof synthSpecSchema>
export type StagesSpec = z.infer<typeof stagesSpecSchema>
export type AssembleSpec = z.infer<typeof assembleSpecSchema>

/** Compute a checkpoint's statistics. Made by the program only. */
export interface StatisticsSpec {
  readonly kind: 'statistics'
  readonly model: string
  /** Where they are kept, as JSON. */
  readonly file: string
}

/** Write a grown checkpoint to another place, and check what was written. Made by the program only. */
export interface ExportSpec {
  readonly kind: 'export'
  /** The grown checkpoint, and what it was grown from. */
  readonly model: string
  readonly base: string
  readonly out: string
  readonly overwrite: boolean
  readonly dtype: OutputDtype
  readonly maxShardBytes: number
  /** What the model card tells: how it was grown, and what was measured. */
  readonly grown: { readonly spec: ExpandSpec; readonly result: ExpandResult }
  readonly perplexities: readonly PerplexityResult[]
}

/** What can be asked for from outside. */
export type RequestedJobSpec = z.infer<typeof jobSpecSchema>

export type JobSpec = RequestedJobSpec | StatisticsSpec | ExportSpec

/** One step of a job as announced before it starts; weights are relative costs. */
export interface JobStep {
  readonly id: string
  readonly label: string
  readonly weight: number
}

/** What a running job says. It knows nothing of who listens. */
export type JobEvent =
  | { readonly type: 'plan'; readonly steps: readonly JobStep[] }
  | { readonly type: 'device'; readonly decision: DeviceDecision }
  /** `done` of `total` units; a step is over when they are equal. */
  | { readonly type: 'step'; readonly id: string; readonly done: number; readonly total: number }
  /** New points of a series such as `loss/q_proj`. */
  | {
      readonly type: 'metric'
      readonly series: string
      readonly x: readonly number[]
      readonly y: readonly number[]
    }
  | { readonly type: 'log'; readonly level: 'info' | 'warning'; readonly text: string }
  | { readonly type: 'artifact'; readonly path: string; readonly sizeBytes: number }

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
  /** The same on the layer that was kept out of training. */
  readonly holdout?: {
    readonly layer: number
    readonly mse: number
    readonly mseOfZero: number
    readonly mseOfMean: number
    readonly normRatio: number
    readonly cosine: number
  }
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
  readonly warnings: readonly string[]
}

export interface PerplexityResult {
  readonly model: string
  readonly perplexity: number
  /** Tokens of the text. */
  readonly tokens: number
  /** Positions that were predicted. */
  readonly predicted: number
  readonly context: number
  readonly num_hidden_layers: number
  readonly seconds: number
}

export interface EvaluateResult {
  readonly kind: 'evaluate'
  readonly results: readonly PerplexityResult[]
}

/** Result of a `synth` job; the names are those of the command line's JSON. */
export interface SynthResult {
  readonly kind: 'synth'
  readonly out: string
  readonly architecture: string
  readonly num_hidden_layers: number
  readonly parameters: number
  readonly bytes: number
  readonly shards: number
  readonly dtype: SynthSpec['dtype']
  readonly seed: number
  readonly seconds: number
}

/** Result of a `stages` job. */
export interface StagesResult {
  readonly kind: 'stages'
  readonly job: string
  /** Weight types whose new matrices are in the job's folder, and those that are not. */
  readonly done: readonly WeightType[]
  readonly missing: readonly WeightType[]
  readonly device: DeviceDecision | null
  readonly seconds: number
}

export interface StatisticsResult {
  readonly kind: 'statistics'
  readonly model: string
  readonly file: string
  readonly seconds: number
}

export interface ExportResult {
  readonly kind: 'export'
  readonly out: string
  readonly bytes: number
  readonly shards: number
  readonly parameters: number
  readonly seconds: number
  /** All of `EXPORT_CHECKS`, in that order. */
  readonly checks: readonly ExportCheck[]
}

export type JobResult =
  ExpandResult | EvaluateResult | SynthResult | StagesResult | StatisticsResult | ExportResult

export type JobState =
  'queued' | 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled' | 'interrupted'

/** Everything a window needs to show a job, whenever it asks. */
export interface JobSnapshot {
  readonly id: string
  readonly spec: JobSpec
  /** The project that it belongs to, if any. */
  readonly owner?: JobOwner
  readonly state: JobState
  /** Rises with every change, so that a late answer can be told from a newer one. */
  readonly seq: number
  readonly createdAt: number
  readonly startedAt?: number
  readonly endedAt?: number
  readonly device?: DeviceDecision
  readonly steps: readonly (JobStep & { readonly done: number; readonly total: number })[]
  /** Overall progress, 0 … 1; it never goes back. */
  readonly progress: number
  /** The latest points of each series, oldest first. */
  readonly series: Readonly<
    Record<string, { readonly x: readonly number[]; readonly y: readonly number[] }>
  >
  readonly log: readonly {
    readonly at: number
    readonly level: 'info' | 'warning'
    readonly text: string
  }[]
  readonly result?: JobResult
  readonly error?: AppErrorData
}
