/** @file Everything that stands in a grown checkpoint's `recipes/`. */
import { trainRecipe } from './trainRecipe'
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

/** The folder within a checkpoint. */
export const RECIPES = 'recipes'

const WRITERS: readonly ((subject: RecipeSubject) => RecipeFiles)[] = [trainRecipe]

/** All files of a grown model's recipes. */
export function recipeFiles(subject: RecipeSubject): RecipeFiles {
  return Object.assign({}, ...WRITERS.map((write) => write(subject))) as RecipeFiles
}
