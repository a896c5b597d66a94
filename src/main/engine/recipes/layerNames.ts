/** @file The new layers, as trainers select parameters by their names. */
import type { RecipeSubject } from './RecipeSubject'

type Named = Pick<RecipeSubject, 'layerPrefix' | 'newLayers'>

/**
 * One pattern for all parameters of the new layers, as axolotl reads it: every dot of it is made literal (an escaped one
 * would match nothing), and it is matched from the name's start (`freeze.py` at 067b021).
 */
export function axolotlPattern({ layerPrefix, newLayers }: Named): string {
  return `^${layerPrefix}(${newLayers.join('|')}).`
}

/** The same as a regular expression. */
export function newLayersRegex({ layerPrefix, newLayers }: Named): string {
  return `^${layerPrefix.replaceAll('.', '\\.')}(${newLayers.join('|')})\\.`
}

/** The new layers' linear modules, by their full names: parameters with two axes, less `.weight`. */
export function linearModules({ trained }: Pick<RecipeSubject, 'trained'>): string[] {
  return trained.flatMap(({ name, shape }) =>
    shape.length === 2 && name.endsWith('.weight') ? [name.slice(0, -'.weight'.length)] : [],
  )
}
