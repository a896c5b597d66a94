import type { ModelSummary } from '@shared/model'
import type { Architecture } from './architectures'
import type { ModelConfig } from './config'
import type { TensorEntry } from './safetensors'

/** Where one tensor of a checkpoint lies. */
export interface TensorInfo extends TensorEntry {
  /** Absolute path of the safetensors file; `offset` counts from its start. */
  readonly file: string
}

/** A Hugging Face checkpoint folder, open for reading; weights are read on demand. */
export declare class Checkpoint {
  static open(folder: string): Promise<Checkpoint>
  static inspect(folder: string): Promise<ModelSummary>
  /** Absolute. */
  readonly path: string
  readonly rawConfig: Readonly<Record<string, unknown>>
  readonly config: ModelConfig
  readonly architecture: Architecture
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readFloat32(
    name: string,
    options?: { rows?: readonly [start: number, end: number]; into?: Float32Array },
  ): Promise<Float32Array>
  readBytes(
    name: string,
    options?: { start?: number; end?: number },
    into?: Uint8Array,
  ): Promise<Uint8Array>
  streamBytes(name: string, chunkBytes?: number): AsyncIterable<Uint8Array>
  /** `layerTensorName(3, 'mlp.up_proj.weight')` → `model.layers.3.mlp.up_proj.weight`. */
  layerTensorName(layer: number, suffix: string): string
  summarize(): ModelSummary
  fingerprint(): Promise<string>
  close(): Promise<void>
}
