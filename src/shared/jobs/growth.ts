import { z } from 'zod'
import { CONTEXT_TOKENS } from '../bounds'
import { DAMP } from '../damping'
import { DEVICE_CHOICES } from '../devices'
import { REST_CHOICES } from '../methods'
import { methodSpecSchema } from '../methods/schema'
import type { VisitPath } from './kind'
import { OUTPUT_DTYPES, path } from './output'

/** Text that a start is fitted to, or a factor chosen on. */
export const calibrationSchema = z.object({
  /** Of the kind that the grown model is to learn: a file (`.txt`, `.jsonl`, either gzipped, `.parquet`) or a folder of them. */
  text: path,
  /** Text of the kind that the base knows, a share of what is fitted to: against forgetting. */
  oldText: path.optional(),
  /** Tokens that a round is fitted to; without it a few times the model's `intermediate_size`. */
  tokens: z
    .int()
    .min(64)
    .max(2 ** 31)
    .optional(),
  /** Tokens of a window; without it the model's own context, at most 512. */
  context: z.int().min(CONTEXT_TOKENS.min).max(CONTEXT_TOKENS.max).optional(),
})
export type CalibrationSpec = z.infer<typeof calibrationSchema>

export const dampSchema = z.union([z.number().min(DAMP.min).max(DAMP.max), z.literal('auto')])

/** More checkpoints than anybody keeps of one training. */
export const MAX_ALSO = 64

/** What decides the grown model's weights. */
export const growthFields = {
  model: path,
  method: methodSpecSchema,
  /** Further checkpoints of the same model, for methods that learn: predictors learn from their layers too. */
  also: z.array(path).min(1).max(MAX_ALSO).readonly().optional(),
  rest: z.enum(REST_CHOICES),
  /** For methods that are fitted to a text, and for a `damp` that is chosen on one. */
  calibration: calibrationSchema.optional(),
  /** Factor of what new layers add to the residual stream: of their output matrices. `auto`: the best of some on the text. */
  damp: dampSchema.optional(),
  /** Whether neurons and heads of all layers are matched along depth before new layers are computed. */
  align: z.boolean().optional(),
  dtype: z.enum(OUTPUT_DTYPES),
  /** Weights that the element type cannot hold become infinite (or zero), instead of being refused. */
  allowOverflow: z.boolean().optional(),
  device: z.enum(DEVICE_CHOICES),
  seed: z.int().min(0).max(0xffff_ffff),
  /** A bound on host memory that the job keeps; without one it takes what is free. */
  memoryBytes: z.int().min(1).optional(),
  /** Memory of a GPU that layers and samples may take to stay there; 4 GB without it. */
  deviceMemoryBytes: z.int().min(1).optional(),
}

/** The paths among that, as `at` returns them. */
export function mapGrowthPaths<
  Spec extends {
    readonly model: string
    readonly also?: readonly string[] | undefined
    readonly calibration?: CalibrationSpec | undefined
  },
>(spec: Spec, at: VisitPath): Spec {
  const { model, also, calibration } = spec
  return {
    ...spec,
    model: at(model, 'reads'),
    ...(also === undefined ? {} : { also: also.map((each) => at(each, 'reads')) }),
    ...(calibration === undefined
      ? {}
      : {
          calibration: {
            ...calibration,
            text: at(calibration.text, 'reads'),
            ...(calibration.oldText === undefined
              ? {}
              : { oldText: at(calibration.oldText, 'reads') }),
          },
        }),
  }
}
