/** @file What a card has to say of the model that was grown: its name on the hub, its licence, its languages. */
import { join } from 'node:path'
import { hubPlaceOf, isRepositoryId, modelNameOf } from '@shared/hub'
import { boundedRead } from '@system/boundedRead'
import { hubPlaceAt } from '@system/hubCache'
import { readFrontMatter, type Fields } from './frontMatter'

export interface BaseFacts {
  /** What people call it. */
  readonly name: string
  /** Its id on the hub, where that is known. */
  readonly id: string | null
  /** Of the repository, where it comes from the cache. */
  readonly revision: string | null
  /** Of the hub's list, or `other`; empty where nothing is said. */
  readonly license: string
  readonly licenseName: string
  readonly licenseLink: string
  readonly languages: readonly string[]
}

const MAX_CARD_BYTES = 4e6
const MAX_LANGUAGES = 200
const MAX_TEXT = 500

/** A base of which only the path is known. */
export function unknownBase(path: string): BaseFacts {
  const place = hubPlaceOf(path)
  return {
    name: modelNameOf(path),
    id: place?.repository ?? null,
    revision: place?.revision ?? null,
    license: '',
    licenseName: '',
    licenseLink: '',
    languages: [],
  }
}

/**
 * Reads a base model's card. Its id is that of its place in the cache, or what its config says that it was loaded from,
 * or what its card names as its own base.
 *
 * @param grown A model that was grown from it, whose card has taken over what the base's said: for when that is gone.
 */
export async function readBaseFacts(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  grown?: string,
): Promise<BaseFacts> {
  const place = hubPlaceAt(folder)
  const own = await cardOf(folder)
  const card = own ?? (grown === undefined ? null : await cardOf(grown)) ?? {}
  const named = config['_name_or_path']
  const ids = [named, ...listOf(card, 'base_model')].filter(
    (id): id is string => typeof id === 'string' && id.includes('/') && isRepositoryId(id),
  )
  return {
    name: place?.repository ?? modelNameOf(folder),
    id: place?.repository ?? ids[0] ?? null,
    revision: place?.revision ?? null,
    license: textOf(card, 'license'),
    licenseName: textOf(card, 'license_name'),
    licenseLink: textOf(card, 'license_link'),
    languages: listOf(card, 'language').slice(0, MAX_LANGUAGES),
  }
}

async function cardOf(folder: string): Promise<Fields | null> {
  const file = join(folder, 'README.md')
  try {
    const bytes = await boundedRead(file, MAX_CARD_BYTES, 'bad_checkpoint')
    return readFrontMatter(Buffer.from(bytes).toString())
  } catch {
    return null
  }
}

/** One text of a field; the first of a list. */
function textOf(card: Fields, key: string): string {
  return listOf(card, key)[0]?.slice(0, MAX_TEXT) ?? ''
}

function listOf(card: Fields, key: string): string[] {
  const value = Object.hasOwn(card, key) ? card[key] : undefined
  return value === undefined ? [] : typeof value === 'string' ? [value] : [...value]
}
