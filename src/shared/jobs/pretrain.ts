import { z } from 'zod'
import { CONTEXT_TOKENS } from '../bounds'
import { DEVICE_CHOICES, type DeviceDecision } from '../devices'
import { baseName } from '../paths'
import { SCHEDULES, TEXT_ORDERS, TRAINED_PARTS, type PretrainedModel } from '../pretraining'
import type { RequestedKind } from './kind'
import { outputFields, path } from './output'

/** Most starts that are trained beside each other, repeats counted. */
export const MAX_RACERS = 16

/**
 * Continue the pre-training of one checkpoint's new layers, everything else frozen; or of several, on the same batches,
 * to see which start was worth it.
 */
export const pretrainSpecSchema = z.object({
  kind: z.literal('pretrain'),
  /** Each with the name that its curves and its folder have; no two the same. */
  models: z
    .array(z.object({ path, name: z.string().min(1).max(120) }))
    .min(1)
    .max(MAX_RACERS),
  /** Measured on the same texts as a yardstick, and not trained: the model that the others were grown from. */
  base: path.optional(),
  /** Files (`.txt`, `.jsonl`, either gzipped, `.parquet`) and folders of them. */
  texts: z.array(path).min(1).max(256),
  /** The field of `.jsonl` and the column of `.parquet` that holds the text. */
  textField: z.string().min(1).max(200),
  /** What the evaluation loss is measured on; without it the last `evalShare` of the windows, which are not trained on. */
  evalText: path.optional(),
  evalShare: z.number().min(0).max(0.5),
  /** Text of the kind that the base knows: its loss tells what is being forgotten. */
  forgettingText: path.optional(),
  /** How long: optimiser steps, tokens seen, or times through the text. */
  amount: z.union([
    z.object({ steps: z.int().min(1).max(10_000_000) }),
    z.object({ tokens: z.int().min(1) }),
    z.object({ epochs: z.number().positive().max(10_000) }),
  ]),
  /** Tokens of a window. */
  context: z.int().min(CONTEXT_TOKENS.min).max(CONTEXT_TOKENS.max).optional(),
  /** Windows of an optimiser step. */
  batch: z.int().min(1).max(4096),
  /** The highest rate of the schedule; with several, each model is given a short trial of each and goes on with its best. */
  learningRates: z.array(z.number().positive().max(10)).min(1).max(16),
  /** What the rate of output matrices is multiplied by that are zero at the start. */
  outputRateFactor: z.number().positive().max(1000),
  schedule: z.enum(SCHEDULES),
  /** Steps; without it {@link defaultWarmup} of `shared/pretraining`. */
  warmup: z.int().min(0).optional(),
  weightDecay: z.number().min(0).max(1),
  beta1: z.number().min(0).lt(1),
  beta2: z.number().min(0).lt(1),
  epsilon: z.number().positive().max(1),
  /** Longest gradient, of all trained tensors together; 0 for any length. */
  clip: z.number().min(0),
  /** `new`: those that `lesa.json` names. */
  train: z.union([z.literal('new'), z.array(z.int().min(0)).min(1)]),
  trainedParts: z.enum(TRAINED_PARTS),
  /** Steps between evaluations; without it {@link defaultEvalEvery}. */
  evalEvery: z.int().min(1).optional(),
  /** Minutes between the states that are kept. */
  saveEvery: z.number().positive().max(10_000),
  order: z.enum(TEXT_ORDERS),
  seed: z.int().min(0).max(0xffff_ffff),
  /** How many times each model is trained, with seeds `seed`, `seed + 1`, …; the first one's weights are written. */
  repeats: z.int().min(1).max(MAX_RACERS),
  /** Folder that keeps tokens and states, so that an interrupted job goes on. */
  job: path.optional(),
  device: z.enum(DEVICE_CHOICES),
  memoryBytes: z.int().min(1).optional(),
  deviceMemoryBytes: z.int().min(1).optional(),
  /** One model: the trained checkpoint. Several: a folder with one for each, by its name. */
  ...outputFields,
})
export type PretrainSpec = z.infer<typeof pretrainSpecSchema>

/** Result of a `pretrain` job; the names are those of the command line's JSON. */
export interface PretrainResult {
  readonly kind: 'pretrain'
  /** As the spec lists them. */
  readonly results: readonly PretrainedModel[]
  /** The base's losses on the same texts, if it was given. */
  readonly base: { readonly eval: number | null; readonly forgetting: number | null } | null
  /** That the evaluation loss is the mean of; `null` where nothing was measured. */
  readonly eval_tokens: number | null
  /** Of an optimiser step. */
  readonly tokens_per_step: number
  readonly device: DeviceDecision
  /** Of everything: reading text, trials, evaluations, writing. */
  readonly seconds: number
  /** Of that, for trials that were not gone on with. */
  readonly trial_seconds: number
  readonly warnings: readonly string[]
}

export const pretrain: RequestedKind<PretrainSpec, PretrainResult> = {
  kind: 'pretrain',
  schema: pretrainSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...spec,
    models: spec.models.map((model) => ({ ...model, path: at(model.path, 'reads') })),
    ...(spec.base === undefined ? {} : { base: at(spec.base, 'reads') }),
    texts: spec.texts.map((text) => at(text, 'reads')),
    ...(spec.evalText === undefined ? {} : { evalText: at(spec.evalText, 'reads') }),
    ...(spec.forgettingText === undefined
      ? {}
      : { forgettingText: at(spec.forgettingText, 'reads') }),
    ...(spec.job === undefined ? {} : { job: at(spec.job, 'keeps') }),
    out: at(spec.out, 'writes'),
  }),
  title: ({ models, out }, training) => {
    const what =
      models.length === 1 ? (models[0]?.name ?? baseName(out)) : `${models.length} models`
    return training === undefined ? `Training ${what}` : `${training}: training ${what}`
  },
  doing: 'training the new layers',
  keepsOnPause: true,
}
