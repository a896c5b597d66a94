/** @file The recipes of a grown model: while it is written, and later. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '@shared/errors'
import { writeError } from '@system/errors'
import { parseConfig, type RawConfig } from '../architectures/config'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { prepareOutput } from '../checkpoint/preparedOutput'
import { RECIPES, recipeFiles } from '../recipes'
import type { RecipeFiles, RecipeSubject } from '../recipes/RecipeSubject'
import { recipeSubject, type RecipeTensor } from '../recipes/subject'
import { readLesaFile } from './lesaFile'

export interface WrittenModel {
  /** The folder that it is written to. */
  readonly out: string
  /** What it is grown from, or a copy of. */
  readonly checkpoint: Pick<Checkpoint, 'architecture'>
  readonly config: RawConfig
  readonly tensors: Iterable<RecipeTensor>
  /** Text of its `lesa.json`. */
  readonly lesa: string
}

/** @throws AppError when `lesa` does not fit the config. */
export function grownRecipes({
  out,
  checkpoint,
  config,
  tensors,
  lesa,
}: WrittenModel): RecipeFiles {
  const { architecture } = checkpoint
  const subject = recipeSubject({
    file: join(out, 'lesa.json'),
    architecture,
    config: parseConfig(config, architecture.configRules, join(out, 'config.json')),
    tensors,
    lesa: JSON.parse(lesa),
  })
  return recipeFiles(subject)
}

/** Of a checkpoint that lies there; `null` where it has no `lesa.json`. @throws AppError when that does not fit it. */
export async function subjectOf({
  path,
  architecture,
  config,
  tensors,
}: Checkpoint): Promise<RecipeSubject | null> {
  const found = await readLesaFile(path)
  if (found === null) return null
  const file = join(path, 'lesa.json')
  const lesa = found.content
  return recipeSubject({ file, architecture, config, tensors: tensors.values(), lesa })
}

/** What {@link writeRecipes} wrote; the names are those of the command line's JSON. */
export interface WrittenRecipes {
  /** The checkpoint, and the folder of its recipes, both absolute. */
  readonly model: string
  readonly out: string
  /** Names within that folder. */
  readonly files: readonly string[]
}

/**
 * Writes the recipes of a model that was grown earlier into a folder, which appears whole or not at all.
 *
 * @throws AppError `bad_request` for a model that was not grown, or has no new layers; `bad_checkpoint`,
 *   `shape_mismatch` where `lesa.json`, the config and the tensors do not fit each other; `output_exists`, `path_denied`,
 *   `not_enough_disk`, `write_failed`.
 */
export async function writeRecipes(
  model: string,
  out: string,
  { overwrite }: { readonly overwrite: boolean },
): Promise<WrittenRecipes> {
  const checkpoint = await Checkpoint.open(model)
  try {
    const { path } = checkpoint
    const subject = await subjectOf(checkpoint)
    if (subject === null) {
      const file = join(path, 'lesa.json')
      throw new AppError('bad_request', `${path} has no lesa.json, which names its new layers.`, {
        hint: 'Recipes are for models that were grown here (lesa expand).',
        context: { file, expected: 'a grown checkpoint', actual: 'missing' },
      })
    }
    const texts = Object.entries(recipeFiles(subject)).map(
      ([name, text]) => [name.slice(RECIPES.length + 1), text] as const,
    )
    const bytes = texts.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0)
    const output = await prepareOutput(out, { overwrite, replaces: 'recipes', reads: [], bytes })
    try {
      for (const [name, text] of texts) {
        const file = join(output.partial, name)
        await mkdir(dirname(file), { recursive: true })
        await writeFile(file, text)
      }
      await output.commit()
    } catch (error) {
      throw writeError(error, output.out)
    } finally {
      await output.discard()
    }
    return { model: path, out: output.out, files: texts.map(([name]) => name).sort() }
  } finally {
    await checkpoint.close()
  }
}
