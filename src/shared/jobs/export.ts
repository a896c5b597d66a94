import type { CardEdits, ExportCheck, LeftOutFile } from '../exports'
import { baseName } from '../paths'
import type { PerplexityResult } from './evaluate'
import type { ExpandResult, ExpandSpec } from './expand'
import type { JobKind } from './kind'
import type { OutputDtype } from './output'

/** Write a grown checkpoint to another place, and check what was written. */
export interface ExportSpec {
  readonly kind: 'export'
  /** The grown checkpoint, and what it was grown from. */
  readonly model: string
  readonly base: string
  readonly out: string
  readonly overwrite: boolean
  readonly dtype: OutputDtype
  /** As of growing: what the element type cannot hold is written as infinities instead of being refused. */
  readonly allowOverflow?: boolean | undefined
  readonly maxShardBytes: number
  /** Whether recipes for its training are written into it; without it they are. */
  readonly recipes?: boolean | undefined
  /** What the model card tells: how it was grown, and what was measured. */
  readonly grown: { readonly spec: ExpandSpec; readonly result: ExpandResult }
  readonly perplexities: readonly PublishedPerplexity[]
  readonly card?: CardEdits | undefined
}

/** A measurement as the card shows it. */
export interface PublishedPerplexity extends Omit<
  PerplexityResult,
  'window_nll' | 'window_tokens' | 'made' | 'against_base' | 'not_compared'
> {
  /** Name of the text that it was measured on. */
  readonly text: string
  readonly perLine: boolean
}

export interface ExportResult {
  readonly kind: 'export'
  readonly out: string
  readonly bytes: number
  readonly shards: number
  readonly parameters: number
  readonly seconds: number
  /** Absent from results of earlier versions. */
  readonly left_out?: readonly LeftOutFile[]
  /** All of `EXPORT_CHECKS`, in that order. */
  readonly checks: readonly ExportCheck[]
}

export const exportModel: JobKind<ExportSpec, ExportResult> = {
  kind: 'export',
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...spec,
    model: at(spec.model, 'reads'),
    base: at(spec.base, 'reads'),
    out: at(spec.out, 'writes'),
  }),
  title: ({ out }) => `Exporting to ${baseName(out)}`,
  doing: 'exporting the model',
}
