import { z } from 'zod'
import { CONTEXT_TOKENS } from '../bounds'
import { DEVICE_CHOICES, type DeviceDecision } from '../devices'
import { modelNameOf } from '../hub'
import type { PlacesReport } from '../places'
import { calibrationSchema } from './growth'
import type { RequestedKind } from './kind'
import { path } from './output'

/** Longest block that is run twice. */
export const MAX_REPEATED = 64

/** Measure where new layers could go: every layer and every gap of a checkpoint, on a text. */
export const placeSpecSchema = z.object({
  kind: z.literal('place'),
  model: path,
  /** A file (`.txt`, `.jsonl`, either gzipped, `.parquet`) or a folder of them. */
  text: path,
  /** Tokens that slopes are computed on; without it a few times the model's `intermediate_size`. */
  tokens: calibrationSchema.shape.tokens,
  /** Tokens of a window; without it the model's own context, at most 512. */
  context: z.int().min(CONTEXT_TOKENS.min).max(CONTEXT_TOKENS.max).optional(),
  /** Every block of up to so many layers is run twice; single layers always are. */
  blocks: z.int().min(1).max(MAX_REPEATED),
  /** Models grown from this one, whose new layers are scored in their gaps. */
  candidates: z.array(path).max(16),
  device: z.enum(DEVICE_CHOICES),
  seed: z.int().min(0).max(0xffff_ffff),
  memoryBytes: z.int().min(1).optional(),
  deviceMemoryBytes: z.int().min(1).optional(),
})
export type PlaceSpec = z.infer<typeof placeSpecSchema>

/** The names are those of the command line's JSON. */
export interface PlaceResult {
  readonly kind: 'place'
  readonly model: string
  readonly text: string
  readonly report: PlacesReport
  readonly device: DeviceDecision
  readonly warnings: readonly string[]
  readonly seconds: number
}

export const place: RequestedKind<PlaceSpec, PlaceResult> = {
  kind: 'place',
  schema: placeSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...spec,
    model: at(spec.model, 'reads'),
    text: at(spec.text, 'reads'),
    candidates: spec.candidates.map((candidate) => at(candidate, 'reads')),
  }),
  title: ({ model }) => `Measuring places in ${modelNameOf(model)}`,
  doing: 'measuring places',
}
