import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AppError, type ErrorContext } from '@shared/errors'
import type { TensorDtype } from '@shared/jobs'
import type { ModelSummary } from '@shared/model'
import { readError, systemCode } from '@system/errors'
import { modelFolderOf } from '@system/hubCache'
import { explainFolder } from '@system/modelFolder'
import { architectureNamesOf, architectureOf, tensorOrderOf } from '../architectures'
import { elementsOf, type Architecture, type Slot } from '../architectures/Architecture'
import { parseConfig, type ModelConfig, type RawConfig } from '../architectures/config'
import { bytesPerElement, decodeToFloat32, isTensorDtype } from './dtypes'
import { FilePool } from './FilePool'
import { JsonProblem, parseStrictJson } from './json'
import { MAX_HEADER_BYTES, readSafetensorsHeader, type TensorEntry } from './safetensors'
import { inStateDictOrder } from './sharding'
import { SourceFiles } from './SourceFiles'

/** A config is a few kilobytes; more than this is not one. */
export const MAX_CONFIG_BYTES = 16e6

/** An index holds no more names than the headers it points to. */
const MAX_INDEX_BYTES = MAX_HEADER_BYTES

/** Headers read at the same time: enough for a disk to be busy, few enough for every descriptor limit. */
const PARALLEL_HEADERS = 16

/** Bytes read ahead of the conversion to float32. */
const READ_CHUNK_BYTES = 2 ** 22

const DEFAULT_STREAM_BYTES = 2 ** 23

/** Where one tensor of a checkpoint lies. */
export interface TensorInfo extends TensorEntry {
  /** Absolute path of the safetensors file; `offset` counts from its start. */
  readonly file: string
}

interface ShardFile {
  /** Absolute. */
  readonly file: string
  readonly bytes: number
  readonly modifiedNs: bigint
  readonly headerDigest: string
}

/** A checkpoint folder as it lies on disk, before anything is known of its architecture. */
interface Folder {
  readonly path: string
  readonly configFile: string
  readonly configBytes: Uint8Array
  readonly rawConfig: RawConfig
  readonly shards: readonly ShardFile[]
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly hasTokenizer: boolean
  /** Everything that was read, and what else belongs to the model. */
  readonly sources: SourceFiles
}

/** What a model means besides its weights and config: a change of these makes it another model, too. */
const MEANING =
  /^(?:tokenizer|tekken|special_tokens|added_tokens|vocab|merges|chat_template|generation_config|preprocessor_config|processor_config)|\.(?:py|tiktoken)$/

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
  /** The matrices of every layer that are predicted, and where they lie. */
  readonly slots: readonly Slot[]
  /** Every tensor of the files, those that the architecture does not know included. */
  readonly tensors: ReadonlyMap<string, TensorInfo>

  readonly #folder: Folder
  readonly #files: FilePool

  private constructor(folder: Folder, architecture: Architecture, config: ModelConfig) {
    this.#folder = folder
    this.#files = new FilePool(folder.sources)
    this.path = folder.path
    this.rawConfig = folder.rawConfig
    this.tensors = folder.tensors
    this.architecture = architecture
    this.config = config
    this.slots = architecture.slotsOf(config)
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
  static async inspect(path: string): Promise<ModelSummary> {
    const folder = await explained(path, () => readFolder(path))
    try {
      return Checkpoint.#fromFolder(folder).summarize()
    } catch (error) {
      if (
        error instanceof AppError &&
        (error.code === 'unsupported_architecture' || error.code === 'unsupported_dtype')
      ) {
        return { ...summarizeForeign(folder), refusal: error.toData() }
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
    return inStateDictOrder([...tensors.values()], tensorOrderOf(rawConfig))
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
    const architecture = architectureOf(folder.rawConfig, folder.configFile)
    refuseQuantized(folder)
    const config = parseConfig(folder.rawConfig, architecture.configRules, folder.configFile)
    checkTensors(folder, architecture, config)
    return new Checkpoint(folder, architecture, config)
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

  /** The slots' ids in their order. */
  get weightTypes(): readonly string[] {
    return this.slots.map(({ id }) => id)
  }

  /** The slot of a weight type. @throws AppError `bug` when there is none. */
  slot(weightType: string): Slot {
    const slot = this.slots.find(({ id }) => id === weightType)
    if (slot) return slot
    throw new AppError('bug', `The checkpoint has no weight type "${weightType}".`, {
      context: { file: this.path, expected: this.weightTypes.join(', '), actual: weightType },
    })
  }

  /** `layerTensorName(3, 'mlp.up_proj.weight')` → `model.layers.3.mlp.up_proj.weight`. */
  layerTensorName(layer: number, suffix: string): string {
    return `${this.architecture.layerPrefix}${layer}.${suffix}`
  }

  /** What the checkpoint is, in the command line's words. */
  summarize(): ModelSummary {
    const { config } = this
    return {
      ...measure(this.#folder, config.numHiddenLayers),
      architecture: config.architectureName,
      model_type: config.modelType,
      supported: true,
      num_hidden_layers: config.numHiddenLayers,
      hidden_size: config.hiddenSize,
      intermediate_size: config.intermediateSize,
      num_attention_heads: config.numAttentionHeads,
      num_key_value_heads: config.numKeyValueHeads,
      vocab_size: config.vocabSize,
      max_position_embeddings: config.maxPositionEmbeddings,
      tie_word_embeddings: config.tieWordEmbeddings,
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
    throw (await explainFolder(await modelFolderOf(folder))) ?? error
  }
}

async function readFolder(folder: string): Promise<Folder> {
  const path = await modelFolderOf(folder)
  const stats = await stat(path).catch((error: unknown) => {
    throw readError(error, path)
  })
  if (!stats.isDirectory()) {
    throw new AppError('not_found', `${path} is not a folder.`, {
      hint: 'Give the folder that holds config.json and the weights.',
      context: { file: path },
    })
  }
  const configFile = join(path, 'config.json')
  const sources = new SourceFiles()
  const configBytes = await readSmallFile(configFile, MAX_CONFIG_BYTES, sources)
  if (configBytes === null) {
    throw new AppError('bad_checkpoint', `${path} has no config.json.`, {
      hint: 'Give the folder of a Hugging Face checkpoint.',
      context: { file: configFile },
    })
  }
  const rawConfig = parseObject(configFile, configBytes)
  const { shards, tensors } = await readWeights(path, sources)
  await rememberMeaning(path, sources)
  return {
    path,
    configFile,
    configBytes,
    rawConfig,
    shards,
    tensors,
    hasTokenizer: await exists(join(path, 'tokenizer.json')),
    sources,
  }
}

async function rememberMeaning(path: string, sources: SourceFiles): Promise<void> {
  for (const name of await readdir(path)) {
    if (!MEANING.test(name)) continue
    const file = join(path, name)
    const stats = await stat(file, { bigint: true }).catch(() => null)
    if (stats?.isFile()) sources.see(file, stats)
  }
}

async function readWeights(
  path: string,
  sources: SourceFiles,
): Promise<Pick<Folder, 'shards' | 'tensors'>> {
  // The single file wins over an index, as in the reference loader.
  const single = join(path, 'model.safetensors')
  if (await exists(single)) return collect([await readShard(single)], sources)
  const indexFile = join(path, 'model.safetensors.index.json')
  const indexBytes = await readSmallFile(indexFile, MAX_INDEX_BYTES, sources)
  if (indexBytes === null) {
    throw new AppError('bad_checkpoint', `${path} has no safetensors weights.`, {
      hint: 'Only safetensors are read; convert other weights (*.bin) first.',
      context: { file: path, expected: 'model.safetensors or model.safetensors.index.json' },
    })
  }
  const map = parseWeightMap(indexFile, indexBytes)
  const names = [...new Set(map.values())].sort()
  const shards = await mapParallel(names, PARALLEL_HEADERS, (name) =>
    readListedShard(indexFile, path, name),
  )
  const files = new Map(names.map((name) => [join(path, name), name]))
  for (const { file, header } of shards) {
    for (const tensor of header.tensors.keys()) {
      const listed = map.get(tensor)
      if (listed !== files.get(file)) {
        throw badIndex(indexFile, `does not say that tensor "${tensor}" is in ${files.get(file)}`, {
          tensor,
          expected: String(files.get(file)),
          actual: listed ?? 'not listed',
        })
      }
    }
  }
  const collected = collect(shards, sources)
  for (const [tensor, name] of map) {
    if (!collected.tensors.has(tensor)) {
      throw badIndex(indexFile, `lists tensor "${tensor}", which ${name} does not have`, {
        tensor,
        expected: name,
      })
    }
  }
  return collected
}

interface ReadShard {
  readonly file: string
  readonly header: Awaited<ReturnType<typeof readSafetensorsHeader>>
}

async function readShard(file: string): Promise<ReadShard> {
  return { file, header: await readSafetensorsHeader(file) }
}

async function readListedShard(indexFile: string, path: string, name: string): Promise<ReadShard> {
  const file = join(path, name)
  try {
    return await readShard(file)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'not_found') throw error
    throw badIndex(indexFile, `names a shard that is missing, ${name}`, { expected: file }, error)
  }
}

function collect(
  shards: readonly ReadShard[],
  sources: SourceFiles,
): Pick<Folder, 'shards' | 'tensors'> {
  const tensors = new Map<string, TensorInfo>()
  for (const { file, header } of shards) {
    sources.see(file, header.stats)
    for (const tensor of header.tensors.values()) tensors.set(tensor.name, { ...tensor, file })
  }
  return {
    tensors,
    shards: shards.map(({ file, header }) => ({
      file,
      bytes: header.fileBytes,
      modifiedNs: header.stats.mtimeNs,
      headerDigest: header.digest,
    })),
  }
}

function parseWeightMap(indexFile: string, bytes: Uint8Array): Map<string, string> {
  const weightMap = parseObject(indexFile, bytes)['weight_map']
  if (typeof weightMap !== 'object' || weightMap === null || Array.isArray(weightMap)) {
    throw badIndex(indexFile, 'has no weight_map', { field: 'weight_map' })
  }
  const entries = Object.entries(weightMap as Record<string, unknown>)
  if (entries.length === 0) throw badIndex(indexFile, 'lists no tensors', { field: 'weight_map' })
  const map = new Map<string, string>()
  for (const [tensor, shard] of entries) {
    if (typeof shard !== 'string' || !isInsideName(shard)) {
      throw badIndex(indexFile, `names a shard outside the folder for tensor "${tensor}"`, {
        tensor,
        expected: 'the name of a .safetensors file in the folder',
        actual: JSON.stringify(shard) ?? 'nothing',
      })
    }
    map.set(tensor, shard)
  }
  return map
}

/**
 * A relative path of plain parts that no platform would resolve to somewhere else. Links are followed: in a Hugging
 * Face cache every file is one.
 */
function isInsideName(name: string): boolean {
  return (
    name.endsWith('.safetensors') &&
    // eslint-disable-next-line no-control-regex -- these are what file names must not contain
    !/[\\:\u0000-\u001f]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  )
}

/** `null` when there is no such file. */
async function readSmallFile(
  file: string,
  maxBytes: number,
  sources: SourceFiles,
): Promise<Uint8Array | null> {
  try {
    const stats = await stat(file, { bigint: true })
    sources.see(file, stats)
    if (!stats.isFile() || stats.size > maxBytes) {
      throw new AppError('bad_checkpoint', `${file} is not a file of at most ${maxBytes} bytes.`, {
        context: { file, expected: `at most ${maxBytes} bytes`, actual: `${stats.size} bytes` },
      })
    }
    return await readFile(file)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw readError(error, file)
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw readError(error, file)
  }
}

function parseObject(file: string, bytes: Uint8Array): RawConfig {
  let value: unknown
  try {
    value = parseStrictJson(bytes)
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error
    throw new AppError('bad_checkpoint', `${file} is not valid JSON: ${error.message}.`, {
      hint: 'The file is damaged or incomplete. Download it again.',
      context: { file },
      cause: error,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AppError('bad_checkpoint', `${file} does not hold a JSON object.`, {
      context: { file, expected: 'an object' },
    })
  }
  return value as RawConfig
}

async function mapParallel<T, R>(
  items: readonly T[],
  parallel: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  const queue = items.entries()
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker))
  return results
}

function refuseQuantized({ rawConfig, configFile }: Folder): void {
  const quantization = rawConfig['quantization_config']
  if (quantization === undefined || quantization === null) return
  const method = (quantization as Record<string, unknown>)['quant_method']
  throw new AppError('unsupported_dtype', 'Quantised models cannot be grown.', {
    hint: 'Use the model in BF16, F16 or F32, and quantise the grown one afterwards.',
    context: {
      file: configFile,
      field: 'quantization_config',
      actual: typeof method === 'string' ? method : 'present',
    },
  })
}

/** Every tensor that the architecture needs is there, with the shape that the config gives it, in floats. */
function checkTensors(folder: Folder, architecture: Architecture, config: ModelConfig): void {
  const { hiddenSize, vocabSize } = config
  const check = (name: string, shape: readonly number[]) => checkTensor(folder, name, shape)
  check(architecture.embedTokens, [vocabSize, hiddenSize])
  const layerTensors = architecture.layerTensors(config)
  for (let layer = 0; layer < config.numHiddenLayers; layer += 1) {
    for (const { suffix, shape } of layerTensors) {
      check(`${architecture.layerPrefix}${layer}.${suffix}`, shape)
    }
  }
  check(architecture.finalNorm, [hiddenSize])
  if (!config.tieWordEmbeddings || folder.tensors.has(architecture.lmHead)) {
    check(architecture.lmHead, [vocabSize, hiddenSize])
  }
  checkLayerNumbers(folder, architecture, config)
}

function checkTensor(folder: Folder, name: string, shape: readonly number[]): void {
  const tensor = folder.tensors.get(name)
  const expected = `[${shape.join(', ')}]`
  if (!tensor) {
    throw new AppError('bad_checkpoint', `${folder.path} lacks the tensor "${name}".`, {
      hint: 'The weights do not belong to the config, or the download is incomplete.',
      context: { file: folder.path, tensor: name, expected, actual: 'missing' },
    })
  }
  const actual = `[${tensor.shape.join(', ')}]`
  if (actual !== expected) {
    throw new AppError(
      'shape_mismatch',
      `"${name}" has shape ${actual}, the config says ${expected}.`,
      {
        hint: 'The weights do not belong to the config.',
        context: { file: tensor.file, tensor: name, expected, actual },
      },
    )
  }
  if (!isTensorDtype(tensor.dtype)) throw unreadable(tensor)
}

/** A layer beyond the config's count would collide with the layers of the grown model. */
function checkLayerNumbers(folder: Folder, architecture: Architecture, config: ModelConfig): void {
  const { layerPrefix } = architecture
  for (const { name, file } of folder.tensors.values()) {
    if (!name.startsWith(layerPrefix)) continue
    const number = /^(0|[1-9]\d*)\./.exec(name.slice(layerPrefix.length))?.[1]
    if (number !== undefined && Number(number) < config.numHiddenLayers) continue
    throw new AppError('bad_checkpoint', `"${name}" belongs to no layer of the model.`, {
      hint: 'The weights do not belong to the config.',
      context: {
        file,
        tensor: name,
        expected: `layers 0 to ${config.numHiddenLayers - 1}`,
        actual: `layer ${number ?? 'unknown'}`,
      },
    })
  }
}

function unreadable(tensor: TensorInfo): AppError {
  return new AppError('unsupported_dtype', `"${tensor.name}" is stored as ${tensor.dtype}.`, {
    hint: 'Weights are computed with in BF16, F16 or F32; convert the model first.',
    context: {
      file: tensor.file,
      tensor: tensor.name,
      expected: 'BF16, F16 or F32',
      actual: tensor.dtype,
    },
  })
}

function badIndex(file: string, what: string, context: ErrorContext, cause?: unknown): AppError {
  return new AppError('bad_checkpoint', `${file} ${what}.`, {
    hint: 'The checkpoint is incomplete or its index is damaged. Download it again.',
    context: { file, ...context },
    ...(cause === undefined ? {} : { cause }),
  })
}

type Measured = Pick<
  ModelSummary,
  | 'path'
  | 'parameters'
  | 'parameters_per_layer'
  | 'dtypes'
  | 'bytes'
  | 'shards'
  | 'tensors'
  | 'has_tokenizer'
>

/** What can be counted without knowing the architecture. */
function measure(folder: Folder, layers: number): Measured {
  const dtypes: Record<string, number> = {}
  let parameters = 0
  let inLayers = 0
  let bytes = 0
  for (const { name, dtype, shape, byteLength } of folder.tensors.values()) {
    const count = shape.reduce((product, dimension) => product * dimension, 1)
    dtypes[dtype] = (dtypes[dtype] ?? 0) + count
    parameters += count
    bytes += byteLength
    if (/(?:^|\.)(?:layers|h|blocks)\.\d+\./.test(name)) inLayers += count
  }
  return {
    path: folder.path,
    parameters,
    parameters_per_layer: layers > 0 ? Math.round(inLayers / layers) : 0,
    dtypes,
    bytes,
    shards: folder.shards.map((shard) => ({ file: basename(shard.file), bytes: shard.bytes })),
    tensors: folder.tensors.size,
    has_tokenizer: folder.hasTokenizer,
  }
}

/** For a model that cannot be grown here: what its config says where it is well formed, 0 where it is silent. */
function summarizeForeign(folder: Folder): ModelSummary {
  const { modelType, architectureName } = architectureNamesOf(folder.rawConfig)
  const inner = folder.rawConfig['text_config']
  // Of a model that sees or hears, the language part.
  const raw = { ...folder.rawConfig, ...(typeof inner === 'object' ? inner : {}) } as RawConfig
  const count = (...keys: string[]): number => {
    const value = keys.map((key) => raw[key]).find((each) => Number.isSafeInteger(each))
    return Math.max(0, Number(value ?? 0))
  }
  const layers = count('num_hidden_layers', 'n_layer', 'num_layers')
  const heads = count('num_attention_heads', 'n_head')
  const positions = count('max_position_embeddings', 'n_positions')
  return {
    ...measure(folder, layers),
    architecture: architectureName ?? 'unknown',
    model_type: modelType ?? 'unknown',
    supported: false,
    num_hidden_layers: layers,
    hidden_size: count('hidden_size', 'n_embd', 'd_model'),
    intermediate_size: count('intermediate_size', 'n_inner', 'ffn_dim'),
    num_attention_heads: heads,
    num_key_value_heads: count('num_key_value_heads') || heads,
    vocab_size: count('vocab_size'),
    max_position_embeddings: positions > 0 ? positions : null,
    tie_word_embeddings: raw['tie_word_embeddings'] === true,
  }
}
