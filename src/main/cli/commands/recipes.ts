import { join, resolve } from 'node:path'
import { modelFolderOf } from '@system/hubCache'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'
import { shortPath, toJson } from '../results'

export interface RecipesOptions {
  readonly out?: string
  readonly overwrite?: boolean
}

/** Writes the recipes of a checkpoint that was grown earlier. It reads no weights, so it needs no engine process. */
export async function recipes(
  given: string,
  { out, overwrite = false }: RecipesOptions,
  { io, json }: CommandContext,
): Promise<number> {
  const { writeRecipes } = await import('../../engine/growth/grownRecipes')
  const model = await modelFolderOf(given, io.cwd)
  const usual = join(model, 'recipes')
  const target = out === undefined ? usual : resolve(io.cwd, out)
  const written = await writeRecipes(model, target, { overwrite })
  if (json) io.stdout.write(toJson(written))
  else {
    const elsewhere =
      target === usual
        ? ''
        : `They are run in the model's folder: give train.py --model ${model}.\n`
    io.stdout.write(
      `recipes     ${shortPath(written.out, io.cwd)}\nfiles       ${written.files.join(', ')}\n${elsewhere}`,
    )
  }
  return EXIT_OK
}
