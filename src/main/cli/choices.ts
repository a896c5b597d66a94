/**
 * @file What the command line offers for each option. Keyed by the types of `src/shared`, so that a choice that is
 * added there does not compile until it is offered here; without their schemas, so that `--help` starts fast.
 */
import type { DeviceChoice } from '@shared/devices'
import type { OutputDtype, SynthPreset, SynthSpec } from '@shared/jobs'

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
