import { z } from 'zod'

/** Stored element types of a checkpoint's tensors that the engine reads and writes. */
export const TENSOR_DTYPES = ['BF16', 'F16', 'F32'] as const
export type TensorDtype = (typeof TENSOR_DTYPES)[number]

/** `keep` stores every tensor as the base model does. */
export const OUTPUT_DTYPES = ['keep', 'bf16', 'f16', 'f32'] as const
export type OutputDtype = (typeof OUTPUT_DTYPES)[number]

/** Default shard size, 5 GB: what huggingface_hub and transformers 4 write. */
export const DEFAULT_SHARD_BYTES = 5e9

export const path = z.string().min(1).max(4096)

/** For a grown checkpoint: whether recipes for its training are written into it; without it they are. */
export const recipesField = { recipes: z.boolean().optional() }

/** Where and how a checkpoint is written. */
export const outputFields = {
  out: path,
  overwrite: z.boolean(),
  maxShardBytes: z.int().min(1_000),
}
