import { z } from 'zod'
import { DEFAULT_SHARD_BYTES, OUTPUT_DTYPES } from './jobs/output'

/** What a person decides about an export. */
export const exportOptionsSchema = z.object({
  /** Absolute; inside a folder that the person has opened. */
  out: z.string().min(1).max(4096),
  overwrite: z.boolean(),
  /** `keep` for the run's own. */
  dtype: z.enum(OUTPUT_DTYPES),
  allowOverflow: z.boolean().optional(),
  maxShardBytes: z.int().min(1_000),
})

export type ExportOptions = z.infer<typeof exportOptionsSchema>

export const DEFAULT_EXPORT: Omit<ExportOptions, 'out'> = {
  overwrite: false,
  dtype: 'keep',
  maxShardBytes: DEFAULT_SHARD_BYTES,
}

/** What an export will be. Nothing is written to find out. */
export interface ExportPreview {
  /** Markdown. */
  readonly card: string
  readonly bytes: number
  readonly shards: number
  /** Free space at the destination; `null` where the file system does not say. */
  readonly freeBytes: number | null
  /** What is at the destination now. */
  readonly destination: 'free' | 'empty_folder' | 'checkpoint' | 'other_files' | 'file'
  /** Why it would fail as it stands, in sentences; empty when it will not. */
  readonly problems: readonly string[]
}

/** The checklist after an export, in this order. */
export const EXPORT_CHECKS = [
  /** The folder opens as a checkpoint. */
  'reopened',
  /** It has exactly the tensors it should have, with their shapes and element types. */
  'tensors_complete',
  /** Every tensor that comes from the base model has its bytes. Skipped when the element type was changed. */
  'originals_identical',
  /** No weight is NaN or infinite. */
  'weights_finite',
  /** One forward pass gives finite logits. */
  'forward_finite',
  /** Where the method keeps the output: the logits are the base model's. Skipped for the others. */
  'logits_equal_base',
] as const

export type ExportCheckId = (typeof EXPORT_CHECKS)[number]

export interface ExportCheck {
  readonly id: ExportCheckId
  readonly state: 'passed' | 'failed' | 'skipped'
  /** What was seen, in a sentence: `219 of 219 tensors`. */
  readonly detail: string
}
