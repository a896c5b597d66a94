/** @file What the window shows of a checkpoint's recipes. */
import { join } from 'node:path'
import { RECIPE_MACHINES, type RecipeOverview } from '@shared/recipes'
import { contextOf, MACHINE_COMMANDS, MACHINE_GPUS } from './course'
import { RECIPES, recipeFiles } from './index'
import { trainingMemory } from './memory'
import type { RecipeSubject } from './RecipeSubject'

/** In the order in which the README explains them. */
const ORDER = [
  'README.md',
  'train.py',
  'recipe.json',
  'train.slurm',
  'eval.sh',
  'axolotl.yaml',
  'llamafactory.yaml',
  'dataset_info.json',
  'accelerate_fsdp2.yaml',
  'mergekit.yaml',
]

/** @param folder Absolute: the checkpoint's. */
export function recipeOverview(subject: RecipeSubject, folder: string): RecipeOverview {
  const context = contextOf(subject)
  const files = recipeFiles(subject)
  return {
    folder: join(folder, RECIPES),
    files: ORDER.filter((name) => `${RECIPES}/${name}` in files),
    context,
    recipes: RECIPE_MACHINES.map((machine) => ({
      machine,
      command: MACHINE_COMMANDS[machine],
      memory: trainingMemory(subject, { gpus: MACHINE_GPUS[machine], context }),
    })),
  }
}
