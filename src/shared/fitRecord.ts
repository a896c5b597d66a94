/** @file What is told of a fitted start, where it is read again. */
import { z } from 'zod'
import type { FitReport, UnseenLosses } from './fit'

const count = z.int().min(0)
/** JSON has no infinity: a step that overflowed is `null` there. */
const loss = z
  .number()
  .nullable()
  .transform((value) => value ?? Infinity)

const textsSchema = z.array(
  z.object({ name: z.string(), bytes: count, documents: count, tokens: count }),
)

const unseenSchema: z.ZodType<UnseenLosses> = z.object({
  tokens: count,
  before: z.number(),
  after: z.number(),
  difference: z.object({ mean: z.number(), low: z.number(), high: z.number() }).nullable(),
})

export const fitRoundSchema = z.object({
  tokens: count,
  loss: z.number(),
  step: z.number(),
  tried: z.array(z.tuple([z.number(), loss])),
})

export const fitReportSchema: z.ZodType<FitReport> = z.object({
  texts: textsSchema,
  old_texts: textsSchema,
  context: count,
  rounds: z.array(fitRoundSchema),
  unseen: unseenSchema,
  unseen_old: unseenSchema.nullable(),
})
