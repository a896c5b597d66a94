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

/** Those for a decoder inside a model that sees or hears: other trainers load it by classes and names of their own. */
const WRITERS_WITHIN: typeof WRITERS = [trainRecipe, slurm, accelerateConfig]

/** All files of a grown model's recipes. */
export function recipeFiles(subject: RecipeSubject): RecipeFiles {
  const writers = subject.storedNames === null ? WRITERS : WRITERS_WITHIN
  const files = Object.assign({}, ...writers.map((write) => write(subject))) as RecipeFiles
  return { ...files, ...readme(subject, files) }
}
