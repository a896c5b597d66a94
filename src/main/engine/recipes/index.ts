/** @file Everything that stands in a grown checkpoint's `recipes/`. */
import { accelerateConfig } from './accelerate'
import { axolotl } from './axolotl'
import { evaluation } from './evaluation'
import { llamaFactory } from './llamaFactory'
import { mergekit } from './mergekit'
import { readme } from './readme'
import { slurm } from './slurm'
import { trainRecipe } from './trainRecipe'
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

/** The folder within a checkpoint. */
export const RECIPES = 'recipes'

const WRITERS: readonly ((subject: RecipeSubject) => RecipeFiles)[] = [
  trainRecipe,
  slurm,
  evaluation,
  axolotl,
  llamaFactory,
  accelerateConfig,
  mergekit,
]

/** All files of a grown model's recipes. */
export function recipeFiles(subject: RecipeSubject): RecipeFiles {
  const files = Object.assign({}, ...WRITERS.map((write) => write(subject))) as RecipeFiles
  return { ...files, ...readme(subject, files) }
}
