import type { DeviceChoice } from '@shared/devices'

/** Devices, as people read them. */
export const DEVICE_TEXTS = {
  auto: 'Automatic: the best there is',
  automatic: 'Automatic',
  software: 'software, slow',
  unavailable: 'not available',
  names: { cpu: 'CPU', webgpu: 'WebGPU', cuda: 'CUDA', dml: 'DirectML', coreml: 'Core ML' },
  autoNote: 'A real GPU where there is one, else the CPU.',
} as const

/** A device in a sentence or a table. */
export function deviceName(device: DeviceChoice | null | undefined): string {
  if (device === null || device === undefined) return '–'
  return device === 'auto' ? DEVICE_TEXTS.automatic : DEVICE_TEXTS.names[device]
}
