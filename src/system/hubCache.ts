/**
 * @file The cache of Hugging Face's own tools: `models--org--name/{blobs,refs,snapshots/<revision>}`, where the files of
 * a snapshot are links to blobs. It is read and never written to.
 */
import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { hubPlaceOf, hubReferenceOf, type CachedModel, type ModelCache } from '@shared/hub'
import { canonicalPath } from './paths'
import { entriesOf, objectOf, readObject, readStart } from './peek'

type Environment = Readonly<Record<string, string | undefined>>

/** More than a cache holds; a folder with more entries is none. */
const MAX_REPOSITORIES = 2_000
const MAX_FILES = 5_000
/** Of a file that is read to describe a model. */
const MAX_JSON_BYTES = 64e6
/** Missing files that are named. */
const MAX_MISSING = 5
/** Repositories looked into at once. */
const BATCH = 16

const REPOSITORY = /^models--(.+)$/

/** Where the hub's tools keep models: the first of their own settings that is given, as they do. */
export function hubCacheFolder(env: Environment = process.env): string {
  const given = (name: string): string | null => {
    const value = env[name]
    return value === undefined || value.trim() === '' ? null : expanded(value.trim())
  }
  const cache = given('HF_HUB_CACHE') ?? given('HUGGINGFACE_HUB_CACHE')
  if (cache !== null) return cache
  const home =
    given('HF_HOME') ?? join(given('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface')
  return join(home, 'hub')
}

function expanded(path: string): string {
  return resolve(/^~(?=$|[/\\])/.test(path) ? join(homedir(), path.slice(1)) : path)
}

/** The repository and revision of a folder, also where a link leads to it. */
export function hubPlaceAt(path: string): ReturnType<typeof hubPlaceOf> {
  return hubPlaceOf(resolve(path)) ?? hubPlaceOf(canonicalPath(path))
}

/** Every model that the cache holds. A cache that is not there, or cannot be read, holds none. */
export async function listHubCache(folder: string = hubCacheFolder()): Promise<ModelCache> {
  const names = (await entriesOf(folder)).filter(({ name }) => REPOSITORY.test(name))
  const models: CachedModel[] = []
  for (let at = 0; at < names.length; at += BATCH) {
    const batch = names
      .slice(at, Math.min(at + BATCH, MAX_REPOSITORIES))
      .map(({ name }) => modelsIn(join(folder, name)))
    models.push(...(await Promise.all(batch)).flat())
  }
  const isMain = ({ refs }: CachedModel): number => (refs.includes('main') ? 0 : 1)
  models.sort(
    (a, b) =>
      a.repository.localeCompare(b.repository, undefined, { numeric: true }) ||
      isMain(a) - isMain(b) ||
      (a.revision < b.revision ? -1 : 1),
  )
  return { folder, models }
}

/**
 * The folder that a person means by a model: that of a snapshot for a repository's folder in a cache, or for an id
 * (`org/name`, `org/name@revision`) or page that the cache holds; the folder around a file of weights, an index or a config. Any
 * other path stays as it is, made absolute.
 *
 * @param cwd What relative paths start from.
 */
export async function modelFolderOf(
  given: string,
  cwd: string = process.cwd(),
  cache: string = hubCacheFolder(),
): Promise<string> {
  const path = resolve(cwd, given)
  const found = await stat(path).catch(() => null)
  if (found?.isFile()) return isModelFile(path) ? dirname(path) : path
  if (found?.isDirectory()) {
    const repository = basename(path) === 'snapshots' ? dirname(path) : path
    return isRepositoryFolder(repository) ? ((await snapshotIn(repository, null)) ?? path) : path
  }
  const reference = hubReferenceOf(given)
  if (reference === null) return path
  const repository = join(cache, `models--${reference.repository.replaceAll('/', '--')}`)
  return (await snapshotIn(repository, reference.revision)) ?? path
}

/** Whether a file is one that a checkpoint consists of, so that its folder is what was meant. */
export function isModelFile(path: string): boolean {
  return /\.safetensors(?:\.index\.json)?$|^config\.json$/i.test(basename(path))
}

/** Whether a folder is named as one of the cache's repositories. */
export function isRepositoryFolder(path: string): boolean {
  return REPOSITORY.test(basename(path))
}

/** The snapshot of a branch, tag or (part of a) commit; of `main`, or else the newest one, without. */
async function snapshotIn(repository: string, revision: string | null): Promise<string | null> {
  const snapshots = await snapshotsIn(repository)
  const refs = await refsIn(repository)
  const of = (name: string): string | null => {
    const path = join(repository, 'snapshots', name)
    return snapshots.includes(path) ? path : null
  }
  if (revision !== null) {
    const commit = refs.get(revision) ?? revision
    const begun = snapshots.filter((path) => basename(path).startsWith(commit))
    return of(commit) ?? (commit.length >= 6 && begun.length === 1 ? (begun[0] ?? null) : null)
  }
  const main = of(refs.get('main') ?? '')
  if (main !== null) return main
  const dated = await Promise.all(
    snapshots.map(async (path) => ({ path, at: (await stat(path)).mtimeMs })),
  )
  return dated.sort((a, b) => b.at - a.at)[0]?.path ?? null
}

async function snapshotsIn(repository: string): Promise<string[]> {
  const folder = join(repository, 'snapshots')
  return (await entriesOf(folder))
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(folder, name))
}

/** The commits that branches and tags mean; `refs/pr/1` is named `pr/1`. */
async function refsIn(repository: string): Promise<ReadonlyMap<string, string>> {
  const refs = new Map<string, string>()
  const visit = async (folder: string, prefix: string, depth: number): Promise<void> => {
    for (const entry of await entriesOf(folder)) {
      const path = join(folder, entry.name)
      if (entry.isDirectory() && depth > 0) await visit(path, `${prefix}${entry.name}/`, depth - 1)
      else if (entry.isFile()) {
        const commit = ((await readStart(path, 200)) ?? '').toString().trim()
        if (/^[0-9a-f]{4,64}$/.test(commit)) refs.set(`${prefix}${entry.name}`, commit)
      }
    }
  }
  await visit(join(repository, 'refs'), '', 3)
  return refs
}

async function modelsIn(repository: string): Promise<CachedModel[]> {
  const refs = await refsIn(repository)
  const found: CachedModel[] = []
  for (const path of await snapshotsIn(repository)) {
    const place = hubPlaceOf(path)
    if (!place) continue
    const names = [...refs].filter(([, commit]) => commit === place.revision).map(([name]) => name)
    found.push({ ...place, refs: names.sort(), path, ...(await describe(path)) })
  }
  return found
}

async function describe(
  folder: string,
): Promise<Pick<CachedModel, 'layers' | 'modelType' | 'bytes' | 'missing' | 'problem'>> {
  const sizes = new Map<string, number | null>()
  for (const { name } of (await entriesOf(folder)).slice(0, MAX_FILES)) {
    const found = await stat(join(folder, name)).catch(() => null)
    if (found === null) sizes.set(name, null)
    else if (found.isFile()) sizes.set(name, found.size)
  }
  const missing = [...sizes].filter(([, bytes]) => bytes === null).map(([name]) => name)
  const index = await readObject(join(folder, 'model.safetensors.index.json'), MAX_JSON_BYTES)
  for (const shard of new Set(Object.values(objectOf(index?.['weight_map']) ?? {}))) {
    if (typeof shard === 'string' && !sizes.has(shard)) missing.push(shard)
  }
  const config = await readObject(join(folder, 'config.json'), MAX_JSON_BYTES)
  const text = { ...config, ...objectOf(config?.['text_config']) }
  const layers = [text['num_hidden_layers'], text['n_layer'], text['num_layers']].find(
    (value): value is number => typeof value === 'number' && Number.isSafeInteger(value),
  )
  const modelType = config?.['model_type']
  return {
    layers: layers ?? null,
    modelType: typeof modelType === 'string' ? modelType.slice(0, 100) : null,
    bytes: [...sizes.values()].reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0),
    missing: missing.slice(0, MAX_MISSING),
    problem: problemOf(sizes, missing, config !== null, index !== null),
  }
}

function problemOf(
  sizes: ReadonlyMap<string, number | null>,
  missing: readonly string[],
  hasConfig: boolean,
  hasIndex: boolean,
): string | null {
  const files = missing.length === 1 ? '1 file is' : `${missing.length} files are`
  if (missing.length > 0) return `Incomplete: ${files} missing.`
  if (!hasConfig) return 'It has no config.json that can be read.'
  if (sizes.has('model.safetensors') || hasIndex) return null
  return 'It has no safetensors weights.'
}
