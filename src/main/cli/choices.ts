/**
 * @file What the command line offers for each option. Keyed by the types of `src/shared`, so that a choice that is
 * added there does not compile until it is offered here; without their schemas, so that `--help` starts fast.
 */
import type { DeviceChoice } from '@shared/devices'
import type { OutputDtype, SynthPreset, SynthSpec } from '@shared/jobs'
import type { Method, RestChoice } from '@shared/methods'
import type { PredictorPreset } from '@shared/predictorSettings'

const PLACED = ['gaps'] as const
const COMPUTED = [...PLACED, 'rest'] as const
const LEARNED = [
  ...COMPUTED,
  'preset',
  'epochs',
  'steps',
  'lambda',
  'lr',
  'batchSize',
  'hiddenSize',
  'weightDecay',
  'beta1',
  'beta2',
  'epsilon',
  'energy',
  'svd',
  'holdout',
  'memory',
  'job',
  'only',
] as const

/** The options of `expand`, by their attribute names, that only some methods use; all others suit every method. */
export const METHOD_OPTIONS = {
  lesa: LEARNED,
  'llama-pro': ['groups'],
  solar: ['overlap'],
  interpolation: PLACED,
  stack: ['repeat'],
  'neighbour-mean': COMPUTED,
  noise: LEARNED,
} as const satisfies Readonly<Record<Method, readonly string[]>>

export type MethodOption = (typeof METHOD_OPTIONS)[Method][number]

export const METHOD_CHOICES = keysOf<Method>(METHOD_OPTIONS)

export const PRESET_CHOICES = keysOf<PredictorPreset>({ paper: 0, notebook: 0, matched: 0 })

export const REST_CHOICES = keysOf<RestChoice>({ mean: 0, previous: 0, next: 0, first: 0 })

export const DTYPE_CHOICES = keysOf<OutputDtype>({ keep: 0, bf16: 0, f16: 0, f32: 0 })

export const SYNTH_PRESET_CHOICES = keysOf<SynthPreset>({
  'llama-1.1b': 0,
  'llama3-8b': 0,
  'qwen2.5-1.5b': 0,
})

export const SYNTH_DTYPE_CHOICES = keysOf<SynthSpec['dtype']>({ bf16: 0, f16: 0, f32: 0 })

export const DEVICE_CHOICES = keysOf<DeviceChoice>({
  auto: 0,
  cpu: 0,
  webgpu: 0,
  cuda: 0,
  dml: 0,
  coreml: 0,
})

function keysOf<Key extends string>(record: Readonly<Record<Key, unknown>>): readonly Key[] {
  return Object.keys(record) as Key[]
}
