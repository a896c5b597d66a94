import { z } from 'zod'
import { predictorSettingsSchema } from './predictorSettings'

export const METHODS = [
  'lesa',
  'llama-pro',
  'solar',
  'interpolation',
  'stack',
  'neighbour-mean',
  'noise',
] as const

export type Method = (typeof METHODS)[number]

/** What people read for each method. */
export const METHOD_NAMES: Readonly<Record<Method, string>> = {
  lesa: 'LESA',
  'llama-pro': 'LLaMA Pro',
  solar: 'SOLAR',
  interpolation: 'Interpolation',
  stack: 'Stack',
  'neighbour-mean': 'Neighbour mean',
  noise: 'Noise control',
}

const layerIndex = z.int().min(0).max(100_000)

/** Gap `i` lies between layer `i` and layer `i+1`; naming it k times asks for k new layers in it. */
const gapsSchema = z.array(layerIndex).min(1).max(10_000)

const learned = {
  gaps: gapsSchema.optional(),
  /** Work on singular coordinates (the method) or on the weights' own rows (the ablation). */
  useSvd: z.boolean(),
  /** Keep the leading directions that hold this share of the squared singular values; 1 keeps all. */
  energy: z.number().positive().max(1),
  predictor: predictorSettingsSchema,
  /** Keep this layer out of training and report how well it is predicted. */
  holdout: layerIndex.optional(),
}

/** A method with its parameters; what is left out takes the default for the model's depth (`plan.ts`). */
export const methodSpecSchema = z.discriminatedUnion('name', [
  z.object({ name: z.literal('lesa'), ...learned }),
  z.object({ name: z.literal('noise'), ...learned }),
  z.object({ name: z.literal('llama-pro'), groups: z.int().min(1).optional() }),
  z.object({ name: z.literal('solar'), overlap: z.int().min(0).optional() }),
  z.object({ name: z.literal('interpolation'), gaps: gapsSchema.optional() }),
  z.object({ name: z.literal('stack'), repeat: z.tuple([layerIndex, layerIndex]).optional() }),
  z.object({ name: z.literal('neighbour-mean'), gaps: gapsSchema.optional() }),
])

export type MethodSpec = z.infer<typeof methodSpecSchema>
export type LearnedMethodSpec = Extract<MethodSpec, { name: 'lesa' | 'noise' }>

/** Where a new layer's norm weights, biases and q/k norms come from: they are not predicted. */
export const REST_CHOICES = ['mean', 'previous', 'next', 'first'] as const
export type RestChoice = (typeof REST_CHOICES)[number]
