/** One tensor of a safetensors file; `offset` counts from the start of the file. */
export interface TensorEntry {
  readonly name: string
  /** As written in the file: `BF16`, `F32`, `F8_E4M3`, … */
  readonly dtype: string
  readonly shape: readonly number[]
  readonly offset: number
  readonly byteLength: number
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: Readonly<Record<string, string>>
}

/** Reads and checks a safetensors header without reading any tensor. */
export function readSafetensorsHeader(_file: string): Promise<SafetensorsHeader> {
  throw new Error('in progress')
}
