import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { AppError } from '@shared/errors'
import type { TensorOrder } from '../architectures/Architecture'
import type { Checkpoint, TensorInfo } from './Checkpoint'
import { bitsPerElement, bytesPerElement, encodeFromFloat32, isTensorDtype } from './dtypes'
import { systemCode, writeError } from '@system/errors'
import { requireRoom } from '@system/space'
import { FilePool } from './FilePool'
import { holdsNonFinite } from './nonFinite'
import { bytesOf } from '../lib/matrix'
import { stringifyLike } from './json'
import { prepareOutput, type PreparedOutput } from './preparedOutput'
import { RangeCount, refuseLosses, type RangeLoss } from './range'
import { encodeSafetensorsHeader } from './safetensors'
import { SequentialFile, WriteBlocks } from './SequentialFile'
import { findSidecars, type LeftOut, type Sidecars } from './sidecars'
import { inFileOrder, inStateDictOrder, shardName, splitIntoShards } from './sharding'
import { orderOf } from './tensorNames'

export { prepareOutput, type PreparedOutput } from './preparedOutput'

/**
 * One tensor to be written: copied byte for byte from a checkpoint, zero, or produced as values when its turn comes. The
 * writer alone turns values into bytes, so that what is written is of the type that was announced, whoever made it.
 */
export interface OutputTensor {
  readonly name: string
  /** Of the safetensors format: `BF16`, `F32`, … */
  readonly dtype: string
  readonly shape: readonly number[]
  readonly byteLength: number
  /** Chunks of any size; a chunk may be reused by its producer once the next one is asked for. */
  readonly content: (() => AsyncIterable<Float32Array>) | { readonly copy: TensorInfo } | 'zeros'
}

type Files = Readonly<Record<string, string | Uint8Array>>

export interface WriteCheckpointOptions {
  readonly out: string
  readonly overwrite: boolean
  /** In any order. */
  readonly tensors: readonly OutputTensor[]
  readonly config: Readonly<Record<string, unknown>>
  /** The base model's folder: its other files are copied from it, numbers spelled as in its config. */
  readonly sidecarsFrom: Checkpoint | string
  /** Which files those are, where that was found out before. */
  readonly sidecars?: Sidecars
  /** Further files by their paths within the folder: `README.md`, `lesa.json`; made once the weights are written. */
  readonly files: Files | ((losses: readonly RangeLoss[], nonFinite: readonly string[]) => Files)
  /** Writes values that their tensor's type cannot hold, as infinities or zeros, which is otherwise refused. */
  readonly allowOverflow?: boolean
  /** Tensor bytes per shard; a larger tensor has a shard of its own. */
  readonly maxShardBytes: number
  readonly signal?: AbortSignal
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void
  /** An output that was claimed earlier; without it one is claimed here. */
  readonly prepared?: PreparedOutput
}

export interface WrittenCheckpoint {
  /** Absolute. */
  readonly out: string
  readonly shards: number
  /** Of all tensors. */
  readonly bytes: number
  readonly parameters: number
  /** Names of all files, sorted. */
  readonly files: readonly string[]
  /** What the types could not hold; only where that was allowed. */
  readonly losses: readonly RangeLoss[]
  /** Tensors that hold NaN or infinities because the base model's do. */
  readonly nonFinite: readonly string[]
  /** What of the base model's folder was not copied. */
  readonly leftOut: readonly LeftOut[]
}

/** Progress is told in steps of this size, not for each buffer. */
const PROGRESS_BYTES = 2 ** 22

/**
 * Writes a complete Hugging Face checkpoint folder, or nothing: an error or an abort removes what was begun, and an
 * older folder is replaced only when the new one is on the disk.
 *
 * @throws AppError `output_exists`, `path_denied`, `not_enough_disk`, `write_failed`, `bad_checkpoint` (a source that
 *   cannot be read), `bug` (a tensor of another size than announced); the signal's reason when aborted.
 */
export async function writeCheckpoint(options: WriteCheckpointOptions): Promise<WrittenCheckpoint> {
  const { overwrite, sidecarsFrom, signal } = options
  const model = resolve(typeof sidecarsFrom === 'string' ? sidecarsFrom : sidecarsFrom.path)
  const bytes = options.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const output =
    options.prepared ?? (await prepareOutput(options.out, { overwrite, reads: [model], bytes }))
  try {
    signal?.throwIfAborted()
    checkTensors(options.tensors)
    const tensors = inStateDictOrder(options.tensors, orderIn(options))
    // Others may have filled the disk since the job began.
    await requireRoom([{ path: output.partial, bytes }])
    const shards = splitIntoShards(tensors, options.maxShardBytes)
    const { names, losses, nonFinite } = await writeShards(output.partial, shards, bytes, options)
    const files = [...names]
    const parameters = tensors.reduce((sum, { shape }) => sum + elements(shape), 0)
    const texts: Record<string, string | Uint8Array> = {
      ...(typeof options.files === 'function' ? options.files(losses, nonFinite) : options.files),
      'config.json': stringifyLike(options.config, await readFile(join(model, 'config.json'))),
    }
    if (shards.length > 1) {
      texts['model.safetensors.index.json'] = indexOf(shards, bytes, parameters)
    }
    const found = options.sidecars ?? (await findSidecars(model))
    const { copied, leftOut } = await copySidecars(model, output.partial, found, Object.keys(texts))
    files.push(...copied)
    for (const [name, content] of Object.entries(texts)) {
      await writeSynced(join(output.partial, name), content)
      files.push(name)
    }
    signal?.throwIfAborted()
    if (typeof sidecarsFrom !== 'string') await sidecarsFrom.assertUnchanged()
    await output.commit()
    const { out } = output
    return {
      out,
      shards: shards.length,
      bytes,
      parameters,
      files: files.sort(),
      losses,
      nonFinite,
      leftOut,
    }
  } catch (error) {
    // The first error is the one to report.
    await output.discard().catch(() => undefined)
    throw writeError(error, output.partial)
  }
}

function checkTensors(tensors: readonly OutputTensor[]): void {
  const names = new Set<string>()
  for (const { name, dtype, shape, byteLength, content } of tensors) {
    const bits = bitsPerElement(dtype) ?? Number.NaN
    const announced = (elements(shape) * bits) / 8
    const given = typeof content === 'object' ? content.copy.dtype : dtype
    if (given !== dtype || (typeof content === 'function' && !isTensorDtype(dtype))) {
      throw new AppError('bug', `The tensor "${name}" is not of the type that was announced.`, {
        context: { tensor: name, expected: dtype, actual: given },
      })
    }
    if (names.has(name) || announced !== byteLength) {
      throw new AppError('bug', `The tensor "${name}" cannot be written as announced.`, {
        context: {
          tensor: name,
          expected: `once, ${announced} bytes for ${dtype} [${shape.join(', ')}]`,
          actual: names.has(name) ? 'twice' : `${byteLength} bytes`,
        },
      })
    }
    names.add(name)
  }
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1)
}

function orderIn({
  config,
  tensors,
}: Pick<WriteCheckpointOptions, 'config' | 'tensors'>): TensorOrder {
  return orderOf(
    config,
    tensors.map(({ name }) => name),
  )
}

async function writeShards(
  folder: string,
  shards: readonly (readonly OutputTensor[])[],
  totalBytes: number,
  options: WriteCheckpointOptions,
): Promise<
  Pick<WrittenCheckpoint, 'losses' | 'nonFinite'> & { readonly names: readonly string[] }
> {
  const names = shards.map((_, index) => shardName(index, shards.length))
  const { sidecarsFrom, signal, onProgress, allowOverflow = false } = options
  const order = orderIn(options)
  const sources = new FilePool(typeof sidecarsFrom === 'string' ? undefined : sidecarsFrom.sources)
  const blocks = new WriteBlocks()
  let done = 0
  let told = 0
  const onBytes = (bytes: number): void => {
    signal?.throwIfAborted()
    done += bytes
    if (done - told < PROGRESS_BYTES && done < totalBytes) return
    told = done
    onProgress?.(done, totalBytes)
  }
  const syncs: Promise<void>[] = []
  const losses: RangeLoss[] = []
  const nonFinite = new Set<string>()
  const onLoss = (loss: RangeLoss): void => {
    losses.push(loss)
    if (!allowOverflow) refuseLosses(losses)
  }
  try {
    for (const [index, tensors] of shards.entries()) {
      const file = await SequentialFile.create(join(folder, names[index] ?? ''), blocks)
      // A finished shard goes to the disk while the next one is written; the file is closed either way.
      let finished = false
      try {
        const shard = inFileOrder(tensors, order, (dtype) => bitsPerElement(dtype) ?? 0)
        await writeShard(file, shard, sources, {
          onBytes,
          onLoss,
          onNonFinite: (tensor) => void nonFinite.add(tensor),
        })
        finished = true
      } finally {
        const sync = (finished ? file.sync() : Promise.resolve()).finally(() => file.close())
        sync.catch(() => undefined)
        syncs.push(sync)
      }
    }
  } finally {
    await Promise.allSettled([...syncs, sources.close()])
  }
  await Promise.all(syncs)
  return { names, losses, nonFinite: [...nonFinite].sort() }
}

interface Watch {
  /** Counts bytes of tensors; throws the signal's reason when the writing is aborted. */
  readonly onBytes: (bytes: number) => void
  /** Throws when it is not allowed. */
  readonly onLoss: (loss: RangeLoss) => void
  /** Told of a tensor that holds NaN or infinities, once or more often. */
  readonly onNonFinite: (tensor: string) => void
}

async function writeShard(
  file: SequentialFile,
  tensors: readonly OutputTensor[],
  sources: FilePool,
  watch: Watch,
): Promise<void> {
  const { onBytes } = watch
  await file.add(encodeSafetensorsHeader(tensors, { format: 'pt' }))
  for (const run of inRuns(tensors)) {
    if ('file' in run) {
      const { file: source, offset, byteLength } = run
      const read = async (part: Uint8Array, at: number): Promise<void> => {
        await sources.read(source, offset + at, part)
        lookThrough(run, part, at, watch.onNonFinite)
      }
      await file.addRead(byteLength, read, onBytes)
    } else if ('zeros' in run) {
      await file.addRead(run.zeros, (part) => Promise.resolve(void part.fill(0)), onBytes)
    } else {
      await addProduced(file, run.tensor, run.content, watch)
    }
  }
  await file.finish()
}

async function addProduced(
  file: SequentialFile,
  tensor: OutputTensor,
  content: () => AsyncIterable<Float32Array>,
  { onBytes, onLoss, onNonFinite }: Watch,
): Promise<void> {
  const { name, dtype } = tensor
  if (!isTensorDtype(dtype)) throw new AppError('bug', `"${name}" is ${dtype}.`)
  const count = new RangeCount(name, dtype)
  let bytes = 0
  for await (const values of content()) {
    bytes += values.length * bytesPerElement(dtype)
    if (bytes > tensor.byteLength) break
    count.add(values)
    if (holdsNonFinite(bytesOf(values), 'F32')) onNonFinite(name)
    const encoded = encodeFromFloat32(values, dtype)
    await file.add(encoded)
    onBytes(encoded.byteLength)
  }
  if (bytes !== tensor.byteLength) {
    throw new AppError('bug', `The tensor "${tensor.name}" has another size than announced.`, {
      context: {
        tensor: tensor.name,
        expected: `${tensor.byteLength} bytes`,
        actual: bytes > tensor.byteLength ? 'more' : `${bytes} bytes`,
      },
    })
  }
  if (count.loss) onLoss(count.loss)
}

/** Looks at the part of a run that was just read; it starts at `at`. */
function lookThrough(
  { pieces }: CopiedRun,
  part: Uint8Array,
  at: number,
  onNonFinite: Watch['onNonFinite'],
): void {
  for (const { tensor, start } of pieces) {
    const { name, dtype, byteLength } = tensor
    const [first, last] = [Math.max(0, start - at), Math.min(part.length, start + byteLength - at)]
    if (first >= last || !isTensorDtype(dtype)) continue
    if (holdsNonFinite(part.subarray(first, last), dtype)) onNonFinite(name)
  }
}

/** A stretch of a source file, which may span several tensors. */
interface CopiedRun {
  readonly file: string
  readonly offset: number
  byteLength: number
  /** The tensors in it, and where in it each starts. */
  readonly pieces: { readonly tensor: OutputTensor; readonly start: number }[]
}

type Run =
  | CopiedRun
  | { readonly zeros: number }
  | { readonly tensor: OutputTensor; readonly content: () => AsyncIterable<Float32Array> }

function inRuns(tensors: readonly OutputTensor[]): Run[] {
  const runs: Run[] = []
  for (const tensor of tensors) {
    const { content } = tensor
    if (content === 'zeros') {
      runs.push({ zeros: tensor.byteLength })
      continue
    }
    if (typeof content === 'function') {
      runs.push({ tensor, content })
      continue
    }
    const { file, offset, byteLength } = content.copy
    if (byteLength !== tensor.byteLength) {
      throw new AppError('bug', `The tensor "${tensor.name}" is not the size of its source.`, {
        context: { tensor: tensor.name, expected: `${tensor.byteLength}`, actual: `${byteLength}` },
      })
    }
    const last = runs.at(-1)
    if (last && 'file' in last && last.file === file && last.offset + last.byteLength === offset) {
      last.pieces.push({ tensor, start: last.byteLength })
      last.byteLength += byteLength
    } else {
      runs.push({ file, offset, byteLength, pieces: [{ tensor, start: 0 }] })
    }
  }
  return runs
}

/** The index as transformers writes it: sizes are of tensors, not of files; keys sorted. */
function indexOf(
  shards: readonly (readonly OutputTensor[])[],
  totalBytes: number,
  parameters: number,
): string {
  const entries = shards
    .flatMap((shard, index) =>
      shard.map(({ name }) => [name, shardName(index, shards.length)] as const),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const index = {
    metadata: { total_parameters: parameters, total_size: totalBytes },
    weight_map: Object.fromEntries(entries),
  }
  return `${JSON.stringify(index, null, 2)}\n`
}

/** What is gone or has become unreadable since it was looked at stays behind, too: the weights are worth more. */
async function copySidecars(
  from: string,
  to: string,
  { files, leftOut }: Sidecars,
  written: readonly string[],
): Promise<{ readonly copied: string[]; readonly leftOut: readonly LeftOut[] }> {
  const copied: string[] = []
  const missed: LeftOut[] = []
  for (const { path } of files) {
    if (written.includes(path)) continue
    const parts = path.split('/')
    const reason = await copyFile(join(from, ...parts), join(to, ...parts))
    if (reason === null) copied.push(path)
    else missed.push({ path, reason })
  }
  return { copied, leftOut: [...leftOut, ...missed] }
}

/**
 * Copies content only: the mode of a read-only source would make the output hard to remove.
 *
 * @returns Why the source could not be read; `null` when it was copied.
 */
async function copyFile(from: string, to: string): Promise<string | null> {
  const source = await open(from, 'r').catch((error: unknown) => systemCode(error))
  if (typeof source === 'string') return `it cannot be read (${source})`
  try {
    if (!(await source.stat()).isFile()) return 'not a file'
    await mkdir(dirname(to), { recursive: true })
    await writeFile(to, source.createReadStream({ autoClose: false }), { flush: true })
    return null
  } finally {
    await source.close()
  }
}

async function writeSynced(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const handle = await open(file, 'w')
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
