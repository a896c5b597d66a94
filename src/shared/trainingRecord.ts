/** @file What a trained checkpoint says of a training, where it is read again. */
import { z } from 'zod'
import { DEVICES } from './devices'
import { SCHEDULES, TEXT_ORDERS, TRAINED_PARTS, type TrainingRecord } from './pretraining'

const count = z.int().min(0)

const measuredSchema = z
  .object({ text: z.string(), tokens: count, first: z.number(), last: z.number() })
  .nullable()

export const trainingRecordSchema: z.ZodType<TrainingRecord> = z.object({
  steps: count,
  tokens: count,
  context: count,
  batch: count,
  lr: z.number(),
  output_lr_factor: z.number(),
  schedule: z.enum(SCHEDULES),
  warmup: count,
  weight_decay: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  epsilon: z.number(),
  clip: z.number(),
  trained_layers: z.array(count),
  trained_parts: z.enum(TRAINED_PARTS),
  order: z.enum(TEXT_ORDERS),
  seed: count,
  texts: z.array(z.object({ name: z.string(), bytes: count, documents: count, tokens: count })),
  loss: z.object({ first: z.number(), last: z.number() }),
  eval: measuredSchema,
  forgetting: measuredSchema,
  device: z.enum(DEVICES),
})
