/** Devices, as people read them. */
export const DEVICE_TEXTS = {
  auto: 'Automatic: the best there is',
  automatic: 'Automatic',
  software: 'software, slow',
  unavailable: 'not available',
  names: { cpu: 'CPU', webgpu: 'WebGPU', cuda: 'CUDA', dml: 'DirectML', coreml: 'Core ML' },
  autoNote: 'A real GPU where there is one, else the CPU.',
} as const

/** A device in a sentence or a table; one that is not known, of a newer record for instance, by its id. */
export function deviceName(device: string | null | undefined): string {
  if (device === null || device === undefined) return '–'
  const names: Readonly<Record<string, string>> = DEVICE_TEXTS.names
  return device === 'auto' ? DEVICE_TEXTS.automatic : (names[device] ?? device)
}
