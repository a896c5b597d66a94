/** Devices, as people read them. */
export const DEVICE_TEXTS = {
  auto: 'Automatic: the best there is',
  software: 'software, slow',
  unavailable: 'not available',
  names: { cpu: 'CPU', webgpu: 'WebGPU', cuda: 'CUDA', dml: 'DirectML', coreml: 'Core ML' },
  autoNote: 'A real GPU where there is one, else the CPU.',
} as const
