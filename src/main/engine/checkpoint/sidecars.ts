/**
 * @file What comes along from a model's folder beside its weights: everything that is small, unless it is the weights in
 * some format, is written anew, speaks of the old depth or of a training, or leads out of the folder.
 */
import { constants } from 'node:fs'
import { access, lstat, readdir, realpath, stat } from 'node:fs/promises'
import { join, posix, sep } from 'node:path'
import type { LeftOutFile } from '@shared/exports'
import { formatBytes } from '@shared/units'
import { systemCode } from '@system/errors'
import { RECIPE_FILE } from './destination'

export interface Sidecar {
  /** Within the model's folder, with `/` between names. */
  readonly path: string
  readonly bytes: number
}

export type LeftOut = LeftOutFile

export interface Sidecars {
  readonly files: readonly Sidecar[]
  readonly leftOut: readonly LeftOut[]
}

/** A tokenizer has some tens of megabytes. */
const MAX_FILE_BYTES = 100e6
const MAX_TOTAL_BYTES = 500e6
const MAX_ENTRIES = 5_000
const MAX_DEPTH = 5

const WEIGHTS =
  /\.(?:safetensors|bin|pt|pth|ckpt|ot|gguf|ggml|onnx|onnx_data|msgpack|h5|hdf5|npz|npy|tflite|mlmodel|mlpackage|pkl|pickle|distcp|engine|trt|pte|tar|gz|tgz|zip|7z)$|\.(?:safetensors|bin)\.index\.(?:[\w-]+\.)?json$/i

/** Written anew, or of the base model's own: its card, what a growth left, its config in another format. */
const OTHERS: Readonly<Record<string, string>> = {
  'config.json': 'written anew',
  'readme.md': 'written anew',
  'lesa.json': 'written anew',
  lesa: 'the predictors of the base model’s own growth',
  'params.json': 'it describes the base model’s layers',
  'adapter_config.json': 'it belongs to an adapter',
  'quantize_config.json': 'it belongs to quantised weights',
  'quant_config.json': 'it belongs to quantised weights',
  'trainer_state.json': 'it belongs to a training',
  'trainer_log.jsonl': 'it belongs to a training',
}

/** What everybody knows is written anew needs no mention. */
const UNSAID = new Set(['config.json', 'readme.md', 'lesa.json'])

const CACHES = /^(?:__pycache__|node_modules|\..*)$/

/** A folder with one of these holds another form of the model, or another model. */
const OTHER_MODEL = /^(?:config|params|model_index|adapter_config)\.json$/

/** Looks at names, sizes and links; no content is read. What cannot be looked at is left out, and said. */
export async function findSidecars(folder: string): Promise<Sidecars> {
  const files: Sidecar[] = []
  const leftOut: LeftOut[] = []
  const root = await realpath(folder)
  let [entries, total] = [0, 0]

  const visit = async (within: string, depth: number): Promise<void> => {
    const names = await readdir(join(root, within)).catch((error: unknown) => systemCode(error))
    if (typeof names === 'string') {
      leftOut.push({ path: within, reason: `it cannot be read (${names})` })
      return
    }
    // Those that a growth wrote are for the model that they lie in.
    if (within === 'recipes' && names.includes(RECIPE_FILE)) return
    const otherForm = depth > 0 ? otherFormOf(names) : null
    if (otherForm !== null) {
      leftOut.push({ path: within, reason: otherForm })
      return
    }
    for (const name of names.sort()) {
      const path = posix.join(within, name)
      entries += 1
      const found =
        entries > MAX_ENTRIES ? { reason: 'there are too many files' } : await look(path)
      if ('reason' in found) {
        if (found.reason !== '') leftOut.push({ path, reason: found.reason })
        if (entries > MAX_ENTRIES) return
      } else if (found.bytes === null) await visit(path, depth + 1)
      else if (total + found.bytes > MAX_TOTAL_BYTES) {
        leftOut.push({
          path,
          reason: `all together are larger than ${formatBytes(MAX_TOTAL_BYTES)}`,
        })
      } else {
        total += found.bytes
        files.push({ path, bytes: found.bytes })
      }
    }
  }

  /** Its size, `null` of a folder; or why it stays behind. */
  const look = async (
    path: string,
  ): Promise<{ readonly bytes: number | null } | { readonly reason: string }> => {
    const name = posix.basename(path)
    const isTop = name === path
    const other = isTop ? OTHERS[name.toLowerCase()] : undefined
    if (other !== undefined) return { reason: UNSAID.has(name.toLowerCase()) ? '' : other }
    if (WEIGHTS.test(name)) return { reason: isTop && isRead(name) ? '' : 'weights or an archive' }
    if (CACHES.test(name)) return { reason: 'hidden, or a cache' }
    const full = join(root, ...path.split('/'))
    const isLink = (await lstat(full).catch(() => null))?.isSymbolicLink() ?? false
    const real = await realpath(full).catch((error: unknown) => ({ code: systemCode(error) }))
    if (typeof real !== 'string') {
      return { reason: isLink ? 'a link to what is not there' : `it cannot be read (${real.code})` }
    }
    if (isLink && !isWithinModel(real, root))
      return { reason: 'a link that leads out of the folder' }
    const stats = await stat(real).catch(() => null)
    if (!stats) return { reason: 'it cannot be read' }
    if (stats.isDirectory()) {
      // A link to a folder may lead round in a circle.
      if (isLink) return { reason: 'a link to a folder' }
      return path.split('/').length > MAX_DEPTH
        ? { reason: 'too deep within folders' }
        : { bytes: null }
    }
    if (!stats.isFile()) return { reason: 'not a file' }
    if (stats.size > MAX_FILE_BYTES) {
      return { reason: `larger than ${formatBytes(MAX_FILE_BYTES)}` }
    }
    const isReadable = await access(real, constants.R_OK).then(
      () => true,
      () => false,
    )
    return isReadable ? { bytes: stats.size } : { reason: 'it may not be read' }
  }

  await visit('', 0)
  return { files, leftOut }
}

/** The weights that a checkpoint is read from: that they are written anew needs no mention. */
function isRead(name: string): boolean {
  return /^model(?:-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/.test(name)
}

function otherFormOf(names: readonly string[]): string | null {
  // The folder of a package that the model's own code imports may hold anything.
  if (names.some((name) => name.endsWith('.py'))) return null
  if (names.some((name) => OTHER_MODEL.test(name)))
    return 'another model, or another form of this one'
  return names.some((name) => WEIGHTS.test(name)) ? 'it holds weights' : null
}

/** In the folder, or a blob of the Hugging Face cache, which is what its snapshots consist of. */
function isWithinModel(real: string, root: string): boolean {
  return real.startsWith(root + sep) || /[/\\]models--[^/\\]+[/\\]blobs[/\\][^/\\]+$/.test(real)
}

/** What stays behind, in a sentence for people; `null` when there is nothing to say. */
export function describeLeftOut(leftOut: readonly LeftOut[]): string | null {
  if (leftOut.length === 0) return null
  const named = leftOut.slice(0, 10).map(({ path, reason }) => `${path} (${reason})`)
  const more = leftOut.length > named.length ? `, and ${leftOut.length - named.length} more` : ''
  return `Not copied from the base model: ${named.join(', ')}${more}.`
}

export function bytesOf({ files }: Sidecars): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}
