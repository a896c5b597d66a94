/** @file Models of the Hugging Face Hub: what they are called, and how the cache of its tools names folders. */
import { baseName } from './paths'

/** One model in the cache, at one revision. */
export interface CachedModel {
  /** Its id on the hub: `org/name`. */
  readonly repository: string
  /** Of the commit. */
  readonly revision: string
  /** Branches and tags that mean this revision: `main`. */
  readonly refs: readonly string[]
  /** The folder to open. */
  readonly path: string
  /** `null` where the config does not say. */
  readonly layers: number | null
  readonly modelType: string | null
  /** Of the files that are there. */
  readonly bytes: number
  /** Names of files that the folder or its index names and that are not there, the first few. */
  readonly missing: readonly string[]
  /** Why it cannot be opened as it stands, in a sentence; `null` when nothing is in the way. */
  readonly problem: string | null
}

export interface ModelCache {
  /** Absolute; it need not exist. */
  readonly folder: string
  /** By name; the revision that `main` means before others of the same model. */
  readonly models: readonly CachedModel[]
}

/** A revision of a repository. */
export interface HubPlace {
  readonly repository: string
  readonly revision: string
}

/** Parts of an id of the hub, as the hub allows them. */
const ID = /^(?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9_][\w.-]{0,95}$/

/** Whether a text can be the id of a repository, `org/name` or an old one without an organisation. */
export function isRepositoryId(text: string): boolean {
  return ID.test(text) && !/--|\.\./.test(text) && !text.endsWith('.git') && !/[.-]$/.test(text)
}

const PAGE =
  /^(?:https?:\/\/)?(?:huggingface\.co|hf\.co)\/([^/?#]+\/[^/?#]+)(?:\/(?:tree|blob|resolve)\/([^/?#]+))?(?:[/?#].*)?$/

/** What a person gives for a model of the hub: `org/name`, `org/name@revision`, or the address of its page. */
export function hubReferenceOf(
  given: string,
): { readonly repository: string; readonly revision: string | null } | null {
  const text = given.trim()
  const page = PAGE.exec(text)
  const [repository = '', revision = null, ...rest] = page ? page.slice(1) : text.split('@')
  return isRepositoryId(repository) && rest.length === 0 ? { repository, revision } : null
}

/** The repository and revision that a path within a cache belongs to; `null` for other paths. */
export function hubPlaceOf(path: string): HubPlace | null {
  const match = /(?:^|[/\\])models--([^/\\]+)[/\\]snapshots[/\\]([^/\\]+)/.exec(path)
  const repository = match?.[1]?.replaceAll('--', '/')
  const revision = match?.[2]
  return repository !== undefined && revision !== undefined && isRepositoryId(repository)
    ? { repository, revision }
    : null
}

/** As people write it: eight digits of a commit. */
export function shortRevision(revision: string): string {
  return /^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, 8) : revision
}

/** What people call the model in a folder: its id on the hub where the path tells, else the folder's name. */
export function modelNameOf(path: string): string {
  return hubPlaceOf(path)?.repository ?? baseName(path)
}

/** {@link modelNameOf} with the revision of what comes from the cache: `org/name @ 8faed761`. */
export function modelLabelOf(path: string): string {
  const place = hubPlaceOf(path)
  return place ? `${place.repository} @ ${shortRevision(place.revision)}` : baseName(path)
}

/** A name for a folder or file made of a model's: an id without its organisation. */
export function fileNameOf(modelName: string): string {
  return baseName(modelName)
}
