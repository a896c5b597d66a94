import { z } from 'zod'

/** How long a predictor trains: whole passes over its samples, or a number of mini-batches. */
export const trainingLengthSchema = z.discriminatedUnion('unit', [
  z.object({ unit: z.literal('epochs'), value: z.int().min(1).max(100_000) }),
  z.object({ unit: z.literal('steps'), value: z.int().min(1).max(10_000_000) }),
])

/** Everything that decides how one predictor (an MLP of two hidden layers) is trained. */
export const predictorSettingsSchema = z.object({
  /** λ: the weight of the norm term in the loss. */
  lambda: z.number().min(0).max(1),
  length: trainingLengthSchema,
  /** Width of both hidden layers. */
  hiddenSize: z.int().min(1).max(8192),
  batchSize: z.int().min(1).max(65_536),
  learningRate: z.number().positive().max(1),
  beta1: z.number().min(0).lt(1),
  beta2: z.number().min(0).lt(1),
  epsilon: z.number().positive().max(1),
  weightDecay: z.number().min(0).max(1),
})

export type TrainingLength = z.infer<typeof trainingLengthSchema>
export type PredictorSettings = z.infer<typeof predictorSettingsSchema>

export const PREDICTOR_PRESETS = ['paper', 'notebook', 'matched'] as const
export type PredictorPreset = (typeof PREDICTOR_PRESETS)[number]

/** What all presets share: PyTorch's AdamW defaults, the paper's batch and width (ACL 2025, section 3 and notebooks). */
const COMMON = {
  hiddenSize: 256,
  batchSize: 64,
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
} as const

/** Fewer mini-batches than this and the predictor has hardly left its start: the person is warned. */
export const FEW_STEPS = 2000

/** `paper`: as published. `notebook`: as in the authors' code. `matched`: as many steps as the paper's own run had. */
export const PRESET_SETTINGS: Readonly<Record<PredictorPreset, PredictorSettings>> = {
  paper: { ...COMMON, lambda: 5e-5, length: { unit: 'epochs', value: 5 } },
  notebook: { ...COMMON, lambda: 5e-4, length: { unit: 'epochs', value: 10 } },
  matched: { ...COMMON, lambda: 5e-4, length: { unit: 'steps', value: 10_000 } },
}

/** Mini-batches that a run of `length` takes over `samples` samples. */
export function countSteps(length: TrainingLength, samples: number, batchSize: number): number {
  return length.unit === 'steps' ? length.value : length.value * Math.ceil(samples / batchSize)
}
