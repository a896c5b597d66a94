/** @file The recipes of a model that is being written. */
import { basename, join } from 'node:path'
import { parseConfig, type RawConfig } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { recipeFiles } from '../recipes'
import type { RecipeFiles } from '../recipes/RecipeSubject'
import { recipeSubject, type RecipeTensor } from '../recipes/subject'

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
    name: basename(out),
    file: join(out, 'lesa.json'),
    architecture,
    config: parseConfig(config, architecture.configRules, join(out, 'config.json')),
    tensors,
    lesa: JSON.parse(lesa),
  })
  return recipeFiles(subject)
}
