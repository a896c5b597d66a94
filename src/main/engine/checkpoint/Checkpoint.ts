import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import type { TensorDtype } from '@shared/jobs'
import type { ModelSummary } from '@shared/model'
import { modelFolderOf } from '@system/hubCache'
import { explainFolder } from '@system/modelFolder'
import { architectureOf, configRemarks } from '../architectures'
import { elementsOf, type Architecture, type Slot } from '../architectures/Architecture'
import { layerTypesOf } from '../architectures/layerTypes'
import { parseConfig, type ModelConfig, type RawConfig } from '../architectures/config'
import { bytesPerElement, decodeToFloat32, isTensorDtype } from './dtypes'
import { FilePool } from './FilePool'
import { fitTensors, unreadable, type FittedTensors } from './fitTensors'
import { readFolder, unfoundError, type Folder, type TensorInfo } from './folder'
import { quantisedTensors, refuseQuantised } from './quantised'
import { inStateDictOrder } from './sharding'
import type { SourceFiles } from './SourceFiles'
import { measure, summarizeExperts, summarizeForeign } from './summary'
import { asStored, orderOf } from './tensorNames'

export { MAX_CONFIG_BYTES, type TensorInfo } from './folder'

/** Bytes read ahead of the conversion to float32. */
const READ_CHUNK_BYTES = 2 ** 22

const DEFAULT_STREAM_BYTES = 2 ** 23

/**
 * A Hugging Face checkpoint folder, open for reading. Weights stay on disk until asked for; files other than
 * `model.safetensors` or the shards of its index (`*.bin`, `consolidated.safetensors`, adapters) are ignored.
 */
export class Checkpoint {
  /** Absolute. */
  readonly path: string
  readonly rawConfig: RawConfig
  readonly config: ModelConfig
  readonly architecture: Architecture
  /**
   * The tensors of the files by the architecture's names; those that it does not know are included, layers beyond the
   * config's are not.
   */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** Elements of biases that the files leave out, by name: they are zero, and can be read like the others. */
  readonly zeros: FittedTensors['zeros']
  /** What was overlooked, assumed or left out in reading, a sentence each. */
  readonly remarks: readonly string[]

  readonly #folder: Folder
  readonly #files: FilePool

  private constructor(
    folder: Folder,
    architecture: Architecture,
    config: ModelConfig,
    { tensors, zeros, remarks }: FittedTensors,
  ) {
    this.#folder = folder
    this.#files = new FilePool(folder.sources)
    this.path = folder.path
    this.rawConfig = folder.rawConfig
    this.tensors = tensors
    this.zeros = zeros
    this.remarks = [...folder.remarks, ...configRemarks(folder.rawConfig, architecture), ...remarks]
    this.architecture = architecture
    this.config = config
  }

  /**
   * Opens a checkpoint of a supported architecture and checks that every layer is complete, of the config's shapes and
   * readable as floats.
   *
   * @throws AppError `not_found`, `bad_checkpoint`, `shape_mismatch`, `unsupported_architecture`, `unsupported_dtype`,
   *   `path_denied`.
   */
  static async open(folder: string): Promise<Checkpoint> {
    return explained(folder, async () => Checkpoint.#fromFolder(await readFolder(folder)))
  }

  /**
   * Describes a checkpoint of any architecture; `supported` is false where {@link Checkpoint.open} would refuse the
   * architecture or the element types.
   *
   * @throws AppError `not_found`, `bad_checkpoint`, `shape_mismatch`, `path_denied`.
   */
  static async inspect(
    path: string,
    more: (checkpoint: Checkpoint) => Partial<ModelSummary> = () => ({}),
  ): Promise<ModelSummary> {
    const folder = await explained(path, () => readFolder(path))
    try {
      const checkpoint = Checkpoint.#fromFolder(folder)
      return { ...checkpoint.summarize(), ...more(checkpoint) }
    } catch (error) {
      if (
        error instanceof AppError &&
        (error.code === 'unsupported_architecture' || error.code === 'unsupported_dtype')
      ) {
        const [first] = folder.unfound?.tensors.keys() ?? []
        // What such a model needs is not known here.
        if (folder.unfound && first !== undefined) throw unfoundError(folder.unfound, first)
        const { stack: _, ...refusal } = error.toData()
        return { ...summarizeForeign(folder), refusal }
      }
      throw (await explainFolder(folder.path)) ?? error
    }
  }

  /**
   * Every tensor of a checkpoint of any architecture, in the order of a state dict.
   *
   * @throws AppError as {@link Checkpoint.inspect}.
   */
  static async listTensors(path: string): Promise<readonly TensorInfo[]> {
    const { tensors, rawConfig } = await explained(path, () => readFolder(path))
    return inStateDictOrder([...tensors.values()], orderOf(rawConfig, [...tensors.keys()]))
  }

  /**
   * Reads one tensor of a checkpoint of any architecture, twice if need be: `chunks` yields its bytes as stored, in
   * order; each chunk is valid until the next one is asked for.
   *
   * @throws AppError as {@link Checkpoint.inspect}; `bad_request` when there is no such tensor.
   */
  static async withTensor<T>(
    path: string,
    name: string,
    use: (tensor: TensorInfo, chunks: () => AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    const { tensors, sources, path: folder } = await explained(path, () => readFolder(path))
    const tensor = tensors.get(name)
    if (!tensor) {
      throw new AppError('bad_request', 'The checkpoint has no tensor of this name.', {
        context: { file: folder, tensor: name },
      })
    }
    const files = new FilePool(sources)
    const { file, offset, byteLength } = tensor
    const buffer = new Uint8Array(Math.min(byteLength, DEFAULT_STREAM_BYTES))
    try {
      return await use(tensor, async function* () {
        for (let start = 0; start < byteLength; start += buffer.byteLength) {
          const chunk = buffer.subarray(0, Math.min(buffer.byteLength, byteLength - start))
          await files.read(file, offset + start, chunk)
          yield chunk
        }
      })
    } finally {
      await files.close()
    }
  }

  static #fromFolder(folder: Folder): Checkpoint {
    const family = architectureOf(folder.rawConfig, folder.configFile)
    const architecture = asStored(family, [...folder.tensors.keys()])
    refuseQuantised(folder)
    const config = parseConfig(folder.rawConfig, architecture.configRules, folder.configFile)
    try {
      return new Checkpoint(folder, architecture, config, fitTensors(folder, architecture, config))
    } catch (error) {
      throw quantisedTensors(folder) ?? error
    }
  }

  /**
   * Reads a tensor, or rows `[start, end)` of its leading dimension, as float32, row-major. Only those bytes are read.
   *
   * @param options.elements A range of elements instead of rows: a slot's span.
   * @param options.into Where the values go (its first elements); a new array by default.
   * @returns A view of exactly the values asked for.
   * @throws AppError `unsupported_dtype`, `bad_checkpoint`, `bug` for a name or range that does not exist.
   */
  async readFloat32(
    name: string,
    options: { rows?: Range; elements?: Range; into?: Float32Array } = {},
  ): Promise<Float32Array> {
    const zeros = this.zeros.get(name)
    if (zeros !== undefined) return zeroed(zeros, options)
    const tensor = this.#tensor(name)
    if (!isTensorDtype(tensor.dtype)) throw unreadable(tensor)
    const size = bytesPerElement(tensor.dtype)
    const [first, last] = byteRange(tensor, options)
    const count = (last - first) / size
    if (options.into && options.into.length < count) {
      throw new RangeError(`${options.into.length} places for ${count} values of ${name}`)
    }
    const values = options.into ? options.into.subarray(0, count) : new Float32Array(count)
    if (tensor.dtype === 'F32') {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
      await this.#files.read(tensor.file, tensor.offset + first, bytes)
    } else {
      await this.#readHalves(tensor, tensor.dtype, first, values)
    }
    return values
  }

  /** Converts each chunk while the next one is read. */
  async #readHalves(
    tensor: TensorInfo,
    dtype: TensorDtype,
    start: number,
    values: Float32Array,
  ): Promise<void> {
    const perChunk = READ_CHUNK_BYTES / 2
    const space = () => new Uint8Array(Math.min(READ_CHUNK_BYTES, values.length * 2))
    let spare = space()
    let next = values.length > perChunk ? space() : spare
    const read = (from: number, buffer: Uint8Array) => {
      const bytes = buffer.subarray(0, Math.min(perChunk, values.length - from) * 2)
      const reading = this.#files.read(tensor.file, tensor.offset + start + from * 2, bytes)
      // Awaited below; until then a failure must not count as unhandled.
      reading.catch(() => undefined)
      return { bytes, reading }
    }
    let current = read(0, spare)
    for (let from = 0; from < values.length; from += perChunk) {
      await current.reading
      const { bytes } = current
      if (from + perChunk < values.length) current = read(from + perChunk, next)
      decodeToFloat32(bytes, dtype, values.subarray(from))
      ;[spare, next] = [next, spare]
    }
  }

  /**
   * Reads a tensor's bytes, or bytes `[start, end)` of it, as stored.
   *
   * @param into Where they go (its first bytes); a new array by default.
   */
  async readBytes(
    name: string,
    options: { start?: number; end?: number } = {},
    into?: Uint8Array,
  ): Promise<Uint8Array> {
    const tensor = this.#tensor(name)
    const { start = 0, end = tensor.byteLength } = options
    checkRange(name, start, end, tensor.byteLength)
    if (into && into.byteLength < end - start) {
      throw new RangeError(`${into.byteLength} places for ${end - start} bytes of ${name}`)
    }
    const bytes = into ? into.subarray(0, end - start) : new Uint8Array(end - start)
    await this.#files.read(tensor.file, tensor.offset + start, bytes)
    return bytes
  }

  /** Yields a tensor's bytes as stored, in order; each chunk is a new array that the consumer may keep. */
  async *streamBytes(name: string, chunkBytes = DEFAULT_STREAM_BYTES): AsyncIterable<Uint8Array> {
    const { byteLength } = this.#tensor(name)
    for (let start = 0; start < byteLength; start += chunkBytes) {
      yield await this.readBytes(name, { start, end: Math.min(byteLength, start + chunkBytes) })
    }
  }

  /** How many safetensors files it consists of. */
  get shardCount(): number {
    return this.#folder.shards.length
  }

  /** The matrices of a layer that are predicted, and where they lie. */
  slotsOf(layer: number): readonly Slot[] {
    return this.architecture.slotsOf(this.config, layer)
  }

  /** Whether a layer has such a matrix. */
  hasSlot(weightType: string, layer: number): boolean {
    return this.slotsOf(layer).some(({ id }) => id === weightType)
  }

  /** The ids of all layers' slots in their order. */
  get weightTypes(): readonly string[] {
    const layers = Array.from({ length: this.config.numHiddenLayers }, (_, layer) => layer)
    const ids = new Set(layers.flatMap((layer) => this.slotsOf(layer).map(({ id }) => id)))
    return Object.keys(this.architecture.slots).filter((id) => ids.has(id))
  }

  /**
   * The slot of a weight type in the first layer that has it; of experts, the first one's.
   *
   * @throws AppError `bug` when there is none.
   */
  slot(weightType: string): Slot {
    for (let layer = 0; layer < this.config.numHiddenLayers; layer += 1) {
      const slot = this.slotsOf(layer).find(({ id }) => id === weightType)
      if (slot) return slot
    }
    throw new AppError('bug', `The checkpoint has no weight type "${weightType}".`, {
      context: { file: this.path, expected: this.weightTypes.join(', '), actual: weightType },
    })
  }

  /**
   * A layer's matrix of a weight type as float32, row-major; of experts, one of theirs.
   *
   * @throws AppError `bug` when the layer has none, and as {@link readFloat32}.
   */
  async readSlot(
    weightType: string,
    { layer, expert = null }: { readonly layer: number; readonly expert?: number | null },
  ): Promise<Float32Array> {
    const found = this.slotsOf(layer).find(
      (slot) => slot.id === weightType && slot.expert === expert,
    )
    if (!found) throw new AppError('bug', `Layer ${layer} has no ${weightType}.`)
    const { tensor, offset, shape } = found.weight
    return this.readFloat32(this.layerTensorName(layer, tensor), {
      elements: [offset, offset + elementsOf(shape)],
    })
  }

  /** `layerTensorName(3, 'mlp.up_proj.weight')` → `model.layers.3.mlp.up_proj.weight`. */
  layerTensorName(layer: number, suffix: string): string {
    return `${this.architecture.layerPrefix}${layer}.${suffix}`
  }

  /** What the checkpoint is, in the command line's words. */
  summarize(): ModelSummary {
    const { architecture, config } = this
    const { numHiddenLayers, experts } = config
    const measured = measure(this.#folder, this.tensors, numHiddenLayers, architecture)
    const types = layerTypesOf(config)
    const { missing } = architecture.forward
    return {
      ...measured,
      architecture: config.architectureName,
      model_type: config.modelType,
      supported: true,
      num_hidden_layers: config.numHiddenLayers,
      hidden_size: config.hiddenSize,
      intermediate_size: config.intermediateSize,
      ...(experts ? { experts: summarizeExperts(architecture, config, experts, measured) } : {}),
      num_attention_heads: config.numAttentionHeads,
      num_key_value_heads: config.numKeyValueHeads,
      vocab_size: config.vocabSize,
      max_position_embeddings: config.maxPositionEmbeddings,
      tie_word_embeddings: config.tieWordEmbeddings,
      ...(new Set(types).size > 1 ? { layer_types: types } : {}),
      ...(missing === undefined ? {} : { not_run: missing }),
      remarks: this.remarks,
    }
  }

  /**
   * A key for results computed from this checkpoint: SHA-256 over the config, every shard's header, size and time of
   * change. The weights themselves are not read. Independent of where the folder lies.
   */
  fingerprint(): Promise<string> {
    const hash = createHash('sha256').update(this.#folder.configBytes)
    for (const shard of this.#folder.shards) {
      const { bytes, modifiedNs, headerDigest } = shard
      hash.update(JSON.stringify([basename(shard.file), bytes, String(modifiedNs), headerDigest]))
    }
    return Promise.resolve(hash.digest('hex'))
  }

  /** What the model's files were when they were opened, for others that read them. */
  get sources(): SourceFiles {
    return this.#folder.sources
  }

  /**
   * To be asked before anything computed from the checkpoint is kept.
   *
   * @throws AppError `bad_checkpoint` when a file of it was changed or replaced since it was opened, `not_found` when
   *   one is gone.
   */
  async assertUnchanged(): Promise<void> {
    await this.#folder.sources.assertUnchanged()
  }

  /** Closes the files; reading is an error afterwards. */
  async close(): Promise<void> {
    await this.#files.close()
  }

  #tensor(name: string): TensorInfo {
    const tensor = this.tensors.get(name)
    if (tensor) return tensor
    throw new AppError('bug', `The checkpoint has no tensor "${name}".`, {
      context: { file: this.path, tensor: name },
    })
  }
}

/** Zeros for a vector of so many elements, or for a part of it. */
function zeroed(
  count: number,
  { rows, elements, into }: { rows?: Range; elements?: Range; into?: Float32Array },
): Float32Array {
  const [start, end] = elements ?? rows ?? [0, count]
  return into ? into.subarray(0, end - start).fill(0) : new Float32Array(end - start)
}

type Range = readonly [start: number, end: number]

/** Bytes `[first, last)` of the given elements, or rows of the leading dimension, of a tensor. */
function byteRange(
  tensor: TensorInfo,
  { rows, elements }: { readonly rows?: Range; readonly elements?: Range },
): Range {
  if (elements) {
    const count = elementsOf(tensor.shape)
    checkRange(tensor.name, elements[0], elements[1], count)
    const size = count === 0 ? 0 : tensor.byteLength / count
    return [elements[0] * size, elements[1] * size]
  }
  if (!rows) return [0, tensor.byteLength]
  const [rowCount = 1] = tensor.shape
  checkRange(tensor.name, rows[0], rows[1], rowCount)
  const rowBytes = rowCount === 0 ? 0 : tensor.byteLength / rowCount
  return [rows[0] * rowBytes, rows[1] * rowBytes]
}

function checkRange(name: string, start: number, end: number, limit: number): void {
  if (
    Number.isInteger(start) &&
    Number.isInteger(end) &&
    start >= 0 &&
    start <= end &&
    end <= limit
  ) {
    return
  }
  throw new RangeError(`${start} to ${end} is not within 0 to ${limit} of ${name}`)
}

/** What goes wrong is said in terms of what the folder is, where that can be told. */
async function explained<T>(folder: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    const explained = await explainFolder(await modelFolderOf(folder))
    // An architecture's refusal tells of quantised weights too; that they are is only half of it.
    const isHalf = isUnsupported(error) && explained?.code === 'unsupported_dtype'
    throw isHalf ? error : (explained ?? error)
  }
}

function isUnsupported(error: unknown): boolean {
  return error instanceof AppError && error.code === 'unsupported_architecture'
}
