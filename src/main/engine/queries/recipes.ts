import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { RecipeOverview } from '@shared/recipes'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { subjectOf } from '../growth/grownRecipes'
import { RECIPES } from '../recipes'
import { recipeOverview } from '../recipes/overview'

/**
 * What stands in a checkpoint's `recipes/`, as far as it follows from the checkpoint; `null` where there is no such folder.
 *
 * @throws AppError what opening the checkpoint throws, `bad_checkpoint` where its `lesa.json` does not fit it.
 */
export async function describeRecipes(folder: string): Promise<RecipeOverview | null> {
  const found = await stat(join(folder, RECIPES)).catch(() => null)
  if (!found?.isDirectory()) return null
  const checkpoint = await Checkpoint.open(folder)
  try {
    const { path } = checkpoint
    const subject = await subjectOf(checkpoint)
    if (subject === null) {
      const file = join(path, 'lesa.json')
      throw new AppError('bad_checkpoint', `${file} is not there.`, {
        hint: 'Export the run again.',
        context: { file },
      })
    }
    return recipeOverview(subject, path)
  } finally {
    await checkpoint.close()
  }
}
