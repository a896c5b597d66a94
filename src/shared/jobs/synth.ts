import { z } from 'zod'
import { baseName } from '../paths'
import type { RequestedKind } from './kind'
import { outputFields, path } from './output'

/** Published models whose shape a synthetic checkpoint can take by name. */
export const SYNTH_PRESETS = ['llama-1.1b', 'llama3-8b', 'qwen2.5-1.5b'] as const
export type SynthPreset = (typeof SYNTH_PRESETS)[number]

/** Write a checkpoint of seeded random weights with a real model's shape. */
export const synthSpecSchema = z.object({
  kind: z.literal('synth'),
  /** By name, or by a `config.json` of any supported architecture. */
  like: z.union([z.object({ preset: z.enum(SYNTH_PRESETS) }), z.object({ config: path })]),
  /** The model's own depth by default. */
  layers: z.int().min(1).max(10_000).optional(),
  ...outputFields,
  dtype: z.enum(['bf16', 'f16', 'f32']),
  seed: z.int().min(0).max(0xffff_ffff),
})
export type SynthSpec = z.infer<typeof synthSpecSchema>

/** Result of a `synth` job; the names are those of the command line's JSON. */
export interface SynthResult {
  readonly kind: 'synth'
  readonly out: string
  readonly architecture: string
  readonly num_hidden_layers: number
  readonly parameters: number
  readonly bytes: number
  readonly shards: number
  readonly dtype: SynthSpec['dtype']
  readonly seed: number
  readonly seconds: number
}

export const synth: RequestedKind<SynthSpec, SynthResult> = {
  kind: 'synth',
  schema: synthSpecSchema,
  lane: 'heavy',
  mapPaths: (spec, at) => ({
    ...spec,
    like: 'config' in spec.like ? { config: at(spec.like.config, 'reads') } : spec.like,
    out: at(spec.out, 'writes'),
  }),
  title: ({ out }) => `Writing ${baseName(out)}`,
  doing: 'writing a synthetic checkpoint',
}
