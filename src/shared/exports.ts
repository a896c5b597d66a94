import { z } from 'zod'
import { DEFAULT_SHARD_BYTES, OUTPUT_DTYPES } from './jobs/output'

/** What a person writes into the model card; what is left out is what the base model's own card and place say. */
export const cardEditsSchema = z.object({
  title: z.string().max(300).optional(),
  author: z.string().max(300).optional(),
  /** An id on the hub; empty for none. */
  baseModel: z.string().max(200).optional(),
  /** As the hub names it: `apache-2.0`; empty for none. */
  license: z.string().max(100).optional(),
  /** Codes: `en`. */
  languages: z.array(z.string().min(1).max(40)).max(200).optional(),
})
export type CardEdits = z.infer<typeof cardEditsSchema>

/** What the card says where nothing was edited. */
export type CardDefaults = { readonly [K in keyof CardEdits]-?: NonNullable<CardEdits[K]> }

/** A measured perplexity that the card can show. */
export interface Publishable {
  /** For `ExportOptions.measurements`. */
  readonly id: string
  readonly model: string
  readonly text: string
  readonly context: number
  readonly perLine: boolean
  /** `null` when it is beyond what a number holds. */
  readonly perplexity: number | null
  readonly standardError: number | null
  readonly tokens: number
  /** Without a choice, those are published that say something: on enough tokens, better than chance. */
  readonly isPublished: boolean
}

/** A file or folder of the source that is not copied, and why. */
export interface LeftOutFile {
  readonly path: string
  readonly reason: string
}

/** What a person decides about an export. */
export const exportOptionsSchema = z.object({
  /** Absolute; inside a folder that the person has opened. */
  out: z.string().min(1).max(4096),
  overwrite: z.boolean(),
  /** `keep` for the run's own. */
  dtype: z.enum(OUTPUT_DTYPES),
  allowOverflow: z.boolean().optional(),
  card: cardEditsSchema.optional(),
  /** Ids of the measurements that the card shows. */
  measurements: z.array(z.string().max(300)).max(10_000).optional(),
  maxShardBytes: z.int().min(1_000),
  /** Whether recipes for its training are written into it; without it they are. */
  recipes: z.boolean().optional(),
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
  readonly cardDefaults: CardDefaults
  /** What was measured of the base and of this run. */
  readonly publishable: readonly Publishable[]
  /** Files that come along with the weights, and those that do not. */
  readonly files: readonly string[]
  readonly leftOut: readonly LeftOutFile[]
  readonly bytes: number
  readonly shards: number
  /** What has to be free: the weights, the files beside them, and a margin. */
  readonly neededBytes: number
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
