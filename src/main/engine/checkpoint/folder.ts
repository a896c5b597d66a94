/** @file A checkpoint folder as it lies on disk, before anything is known of its architecture. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { AppError, type ErrorContext } from '@shared/errors'
import { fewOf, shown, shownValue } from '@shared/text'
import { readError, systemCode } from '@system/errors'
import { modelFolderOf } from '@system/hubCache'
import { readStart } from '@system/peek'
import { TELLING_BYTES, wrongContentOf } from '@system/wrongContent'
import type { RawConfig } from '../architectures/config'
import { JsonProblem, parseLenientJson } from './json'
import { MAX_HEADER_BYTES, readSafetensorsHeader, type TensorEntry } from './safetensors'
import { SourceFiles } from './SourceFiles'

/** A config is a few kilobytes; more than this is not one. */
export const MAX_CONFIG_BYTES = 16e6

/** An index holds no more names than the headers it points to. */
const MAX_INDEX_BYTES = MAX_HEADER_BYTES

/** Headers read at the same time: enough for a disk to be busy, few enough for every descriptor limit. */
const PARALLEL_HEADERS = 16

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

/** What an index promises and the files do not hold. It matters only where the model needs it. */
export interface Unfound {
  readonly indexFile: string
  /** The file that the index names for each tensor, whether or not that file is there. */
  readonly tensors: ReadonlyMap<string, { readonly shard: string; readonly isThere: boolean }>
}

interface Weights {
  readonly shards: readonly ShardFile[]
  /** Under the names that the files give them. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly unfound: Unfound | null
}

export interface Folder extends Weights {
  readonly path: string
  readonly configFile: string
  readonly configBytes: Uint8Array
  readonly rawConfig: RawConfig
  readonly hasTokenizer: boolean
  /** Everything that was read, and what else belongs to the model. */
  readonly sources: SourceFiles
  /** What was overlooked or assumed, a sentence each. */
  readonly remarks: readonly string[]
}

/** What a model means besides its weights and config: a change of these makes it another model, too. */
const MEANING =
  /^(?:tokenizer|tekken|special_tokens|added_tokens|vocab|merges|chat_template|generation_config|preprocessor_config|processor_config)|\.(?:py|tiktoken)$/

/**
 * Reads the config, the index and every header. The weights are not looked at.
 *
 * @throws AppError `not_found`, `bad_checkpoint`, `path_denied`.
 */
export async function readFolder(folder: string): Promise<Folder> {
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
  const remarks: string[] = []
  const rawConfig = parseObject(configFile, configBytes, remarks)
  const weights = await readWeights(path, sources, remarks)
  await rememberMeaning(path, sources, remarks)
  return {
    path,
    configFile,
    configBytes,
    rawConfig,
    ...weights,
    hasTokenizer: await exists(join(path, 'tokenizer.json')),
    sources,
    remarks,
  }
}

/** Growing copies these without a look into them, so what is none of them is said. */
async function rememberMeaning(
  path: string,
  sources: SourceFiles,
  remarks: string[],
): Promise<void> {
  for (const name of await readdir(path)) {
    if (!MEANING.test(name)) continue
    const file = join(path, name)
    const stats = await stat(file, { bigint: true }).catch(() => null)
    if (!stats?.isFile()) continue
    sources.see(file, stats)
    const start = /\.(?:json|model|tiktoken)$/.test(name)
      ? await readStart(file, TELLING_BYTES)
      : null
    const wrong = start && wrongContentOf(start)
    if (wrong) remarks.push(`${shown(name)} ${wrong.what}. ${wrong.hint}`)
  }
}

async function readWeights(
  path: string,
  sources: SourceFiles,
  remarks: string[],
): Promise<Weights> {
  // The single file wins over an index, as in the reference loader.
  const single = join(path, 'model.safetensors')
  if (await exists(single)) {
    return { ...collect([await readShard(single)], sources), unfound: null }
  }
  const indexFile = join(path, 'model.safetensors.index.json')
  const indexBytes = await readSmallFile(indexFile, MAX_INDEX_BYTES, sources)
  if (indexBytes === null) {
    throw new AppError('bad_checkpoint', `${path} has no safetensors weights.`, {
      hint: 'Only safetensors are read; convert other weights (*.bin) first.',
      context: { file: path, expected: 'model.safetensors or model.safetensors.index.json' },
    })
  }
  const map = parseWeightMap(indexFile, indexBytes, remarks)
  const names = [...new Set(map.values())].sort()
  const found = await mapParallel(names, PARALLEL_HEADERS, (name) =>
    readListedShard(join(path, name)),
  )
  const shards = found.filter((shard) => shard !== null)
  const collected = collect(shards, sources)
  const misplaced = [...collected.tensors.values()]
    .filter(({ name, file }) => (map.has(name) ? join(path, map.get(name)!) !== file : true))
    .map(({ name }) => name)
  if (misplaced.length > 0) {
    remarks.push(
      `${basename(indexFile)} does not say where ${fewOf(misplaced)} lie, or says otherwise; they are taken from where they are.`,
    )
  }
  const isThere = new Map(names.map((name, index) => [name, found[index] !== null]))
  const tensors = new Map(
    [...map]
      .filter(([tensor]) => !collected.tensors.has(tensor))
      .map(([tensor, shard]) => [tensor, { shard, isThere: isThere.get(shard) ?? false }]),
  )
  return { ...collected, unfound: tensors.size > 0 ? { indexFile, tensors } : null }
}

/** What is wrong with an index that promises a tensor which its files do not hold. */
export function unfoundError({ indexFile, tensors }: Unfound, tensor: string): AppError {
  const { shard = '', isThere = false } = tensors.get(tensor) ?? {}
  const context = { tensor, expected: shard, actual: 'missing' }
  return isThere
    ? badIndex(indexFile, `lists tensor "${tensor}", which ${shard} does not have`, context)
    : badIndex(indexFile, `names a shard that is missing, ${shard}`, {
        ...context,
        expected: join(dirname(indexFile), shard),
      })
}

interface ReadShard {
  readonly file: string
  readonly header: Awaited<ReturnType<typeof readSafetensorsHeader>>
}

async function readShard(file: string): Promise<ReadShard> {
  return { file, header: await readSafetensorsHeader(file) }
}

/** `null` when it is not there. */
async function readListedShard(file: string): Promise<ReadShard | null> {
  try {
    return await readShard(file)
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null
    throw error
  }
}

function collect(shards: readonly ReadShard[], sources: SourceFiles): Omit<Weights, 'unfound'> {
  const tensors = new Map<string, TensorInfo>()
  for (const { file, header } of shards) {
    sources.see(file, header.stats)
    for (const tensor of header.tensors.values()) {
      const other = tensors.get(tensor.name)
      if (other) throw storedTwice(tensor.name, [other.file, file])
      tensors.set(tensor.name, { ...tensor, file })
    }
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

function parseWeightMap(
  indexFile: string,
  bytes: Uint8Array,
  remarks: string[],
): Map<string, string> {
  const weightMap = parseObject(indexFile, bytes, remarks)['weight_map']
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
        actual: shownValue(shard),
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

function parseObject(file: string, bytes: Uint8Array, remarks: string[]): RawConfig {
  let value: unknown
  try {
    const json = parseLenientJson(bytes)
    value = json.value
    remarks.push(...json.remarks.map((remark) => `${basename(file)} ${remark}.`))
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

function badIndex(file: string, what: string, context: ErrorContext): AppError {
  return new AppError('bad_checkpoint', `${file} ${what}.`, {
    hint: 'The checkpoint is incomplete or its index is damaged. Download it again.',
    context: { file, ...context },
  })
}

/** Which of two a loader takes depends on the loader. */
export function storedTwice(tensor: string, places: readonly [string, string]): AppError {
  const [first, second] = places
  return new AppError('bad_checkpoint', `The tensor "${tensor}" is stored twice.`, {
    hint: 'Only one of them can belong to the model. Download it again.',
    context: { file: second, tensor, expected: `only ${first}`, actual: second },
  })
}
