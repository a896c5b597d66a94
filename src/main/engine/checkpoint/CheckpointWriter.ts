import type { Checkpoint, TensorInfo } from './Checkpoint'

/** One tensor to be written: copied byte for byte from a checkpoint, or produced when its turn comes. */
export interface OutputTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly byteLength: number
  readonly content: (() => AsyncIterable<Uint8Array>) | { readonly copy: TensorInfo }
}

export interface WriteCheckpointOptions {
  readonly out: string
  readonly overwrite: boolean
  readonly tensors: readonly OutputTensor[]
  readonly config: Readonly<Record<string, unknown>>
  /** Tokenizer and generation files are copied from here. */
  readonly sidecarsFrom: Checkpoint | string
  /** Further files by name: `README.md`, `lesa.json`. */
  readonly files: Readonly<Record<string, string | Uint8Array>>
  readonly maxShardBytes: number
  readonly signal?: AbortSignal
  onProgress?(doneBytes: number, totalBytes: number): void
  /** An output prepared earlier by {@link prepareOutput}; without it one is prepared here. */
  readonly prepared?: PreparedOutput
}

export interface WrittenCheckpoint {
  readonly out: string
  readonly shards: number
  readonly bytes: number
  readonly parameters: number
  readonly files: readonly string[]
}

/** The claimed output: a sibling `<out>.partial` folder that becomes `out` when complete. */
export interface PreparedOutput {
  readonly out: string
  /** The `.partial` folder; a job may keep its own temporary files below `scratch`. */
  readonly partial: string
  /** Puts the finished folder in place of `out`. */
  commit(): Promise<void>
  /** Removes the partial folder; safe to call more than once, and after `commit`. */
  discard(): Promise<void>
}

export declare function prepareOutput(
  out: string,
  options: { overwrite: boolean; model: string },
): Promise<PreparedOutput>

/** Writes a complete Hugging Face checkpoint folder, or nothing. */
export declare function writeCheckpoint(options: WriteCheckpointOptions): Promise<WrittenCheckpoint>
