import type { Device } from '@shared/devices'

/** Where a computation's arrays live. Whoever has to choose by the device asks this, and nothing else. */
export interface Placement {
  /**
   * Operands are used and results computed where they lie in the host's memory, so that small tiles cost nothing. Otherwise
   * they travel, and operators had better be few and large. Integers of 16 bits have operators there only.
   */
  readonly isHost: boolean
  /** Whether a run's results may stay in the device's own memory for another one; otherwise they come back each time. */
  readonly keepsResults: boolean
}

/**
 * onnxruntime-node 1.30 knows tensors in two places, the host's memory and WebGPU's buffers: whatever `cpu-pinned` and
 * others the types name, its binding takes and gives back nothing of another device's. So CUDA, DirectML and CoreML get
 * their operands anew for each run.
 */
const PLACEMENTS: Readonly<Record<Device, Placement>> = {
  cpu: { isHost: true, keepsResults: false },
  webgpu: { isHost: false, keepsResults: true },
  cuda: { isHost: false, keepsResults: false },
  dml: { isHost: false, keepsResults: false },
  coreml: { isHost: false, keepsResults: false },
}

export function placementOf(device: Device): Placement {
  return PLACEMENTS[device]
}

/** Whether arrays of so many bytes go to the device once and stay there, given what they may take of its memory. */
export function stays({ keepsResults }: Placement, bytes: number, bound: number): boolean {
  return keepsResults && bytes <= bound
}

/** Rows of a tile on the host: what a product works on then stays in a core's cache. */
const TILE_ROWS = 1024

/** How many rows of a matrix one operator should take. */
export function tileRows({ isHost }: Placement, height: number): number {
  return isHost ? Math.min(TILE_ROWS, height) : height
}
