import { z } from 'zod'
import { DEVICE_CHOICES } from '../devices'
import { REST_CHOICES } from '../methods'
import { methodSpecSchema } from '../methods/schema'
import { OUTPUT_DTYPES, path } from './output'

/** What decides the grown model's weights. */
export const growthFields = {
  model: path,
  method: methodSpecSchema,
  rest: z.enum(REST_CHOICES),
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
