/** @file What lies where an output shall go, and whether it may be replaced. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { ExportPreview } from '@shared/exports'
import { systemCode, writeError } from '@system/errors'

export interface Destination {
  readonly kind: ExportPreview['destination']
  /** Of a folder's entries; `null` when there is no folder. */
  readonly names: readonly string[] | null
}

/** @throws AppError where the system does not let it be looked at. */
export async function destinationAt(out: string): Promise<Destination> {
  try {
    const names = await readdir(out)
    return { kind: kindOf(names), names }
  } catch (error) {
    switch (systemCode(error)) {
      case 'ENOENT':
        return { kind: (await lstat(out).catch(() => null)) ? 'file' : 'free', names: null }
      case 'ENOTDIR':
        return { kind: 'file', names: null }
      default:
        throw writeError(error, out)
    }
  }
}

function kindOf(names: readonly string[]): Destination['kind'] {
  if (names.length === 0) return 'empty_folder'
  const isCheckpoint =
    names.includes('config.json') && names.some((name) => name.endsWith('.safetensors'))
  return isCheckpoint ? 'checkpoint' : 'other_files'
}

/** What an output may replace. */
export type Replaceable = 'checkpoint' | 'race' | 'recipes'

/** Tells that a folder was made by a race of trainings: it holds a folder for each model, and this. */
export const RACE_FILE = 'race.json'

/** Tells the same of a folder of recipes. */
export const RECIPE_FILE = 'recipe.json'

/** By which file a folder is known that may be replaced, where it is none of a checkpoint. */
const MARKS: Readonly<Record<Exclude<Replaceable, 'checkpoint'>, string>> = {
  race: RACE_FILE,
  recipes: RECIPE_FILE,
}

/**
 * Why an output cannot go there, or `null`. Only a checkpoint is ever replaced, or by a race what another one made, and
 * by recipes nothing but recipes: whatever else a folder holds is not the program's to remove.
 */
export function obstacleAt(
  out: string,
  found: Destination,
  overwrite: boolean,
  replaces: Replaceable = 'checkpoint',
): AppError | null {
  const elsewhere = { hint: 'Choose another folder.', context: { file: out } }
  switch (found.kind) {
    case 'free':
    case 'empty_folder':
      return null
    case 'file':
      return new AppError('output_exists', `${out} is a file.`, elsewhere)
    case 'checkpoint':
      if (replaces === 'recipes') {
        return new AppError('output_exists', `${out} is a checkpoint.`, {
          hint: `Choose a folder of its own for the recipes, such as ${join(out, 'recipes')}.`,
          context: { file: out, expected: 'a folder of recipes, or an empty one' },
        })
      }
      return overwrite ? null : occupied(out)
    case 'other_files':
      if (replaces !== 'checkpoint' && found.names?.includes(MARKS[replaces]) === true) {
        return overwrite ? null : occupied(out)
      }
      if (replaces === 'recipes') {
        return new AppError('output_exists', `${out} holds other things than recipes.`, {
          hint: 'Only recipes are replaced: choose another folder, or empty this one yourself.',
          context: {
            file: out,
            expected: `a folder with ${RECIPE_FILE}, or an empty one`,
            actual: listed(found.names ?? []),
          },
        })
      }
      return new AppError('output_exists', `${out} holds other things than a checkpoint.`, {
        hint: 'Only a checkpoint is replaced: choose another folder, or empty this one yourself.',
        context: {
          file: out,
          expected: 'a folder with config.json and *.safetensors, or an empty one',
          actual: listed(found.names ?? []),
        },
      })
  }
}

function occupied(out: string): AppError {
  return new AppError('output_exists', `${out} exists and is not empty.`, {
    hint: 'Choose another folder, or allow it to be replaced (--overwrite).',
    context: { file: out },
  })
}

const LISTED = 5

function listed(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, LISTED)
  const rest = names.length - shown.length
  return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(', ')
}
