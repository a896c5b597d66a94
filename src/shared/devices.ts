/** Execution providers of ONNX Runtime that the engine can use, by their short names. */
export const DEVICES = ['cpu', 'webgpu', 'cuda', 'dml', 'coreml'] as const

export type Device = (typeof DEVICES)[number]

/** What a person may ask for: a device, or the best one there is. */
export const DEVICE_CHOICES = ['auto', ...DEVICES] as const

export type DeviceChoice = (typeof DEVICE_CHOICES)[number]

/** What trying a device showed. */
export interface DeviceReport {
  readonly device: Device
  /** True when a small computation ran there and its result was right. */
  readonly available: boolean
  /** The adapter's or processor's name, when it tells. */
  readonly name?: string
  /** A software rasteriser posing as a GPU: works, but some 200 times slower than the CPU provider. */
  readonly isSoftware: boolean
  /** Why it is (not) available, in a sentence. */
  readonly reason: string
}

/** The device a job runs on, and why. */
export interface DeviceDecision {
  readonly device: Device
  readonly reason: string
}
