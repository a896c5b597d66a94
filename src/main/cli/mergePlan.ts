import { resolve } from 'node:path'
import { formatGaps } from '@shared/methods/gaps'
import type { ModelShape } from '@shared/predictorSettings'
import { boundedRead } from '@system/boundedRead'
import type { ExpandOptions } from './expandSpec'
import { flagOf, UsageError } from './usage'

/** More than any recipe has. */
const MAX_BYTES = 4e6

/** What the recipe says, and flags would say again. */
const SAID = ['gaps', 'groups', 'overlap', 'repeat', 'damp'] as const

/**
 * What `--plan` stands for: the options with the method, places and factor of a mergekit recipe, and the model that it
 * names, where none is given.
 *
 * @param shapeOf Looks into the model.
 * @throws UsageError when a flag says the same as the recipe.
 * @throws AppError `not_found`, `path_denied`; `bad_request` when the recipe is not of copied layers that a method lays out so.
 */
export async function readPlan(
  given: string | undefined,
  { plan, ...options }: ExpandOptions & { readonly plan: string },
  cwd: string,
  shapeOf: (model: string) => Promise<ModelShape>,
): Promise<{ readonly model: string; readonly options: ExpandOptions }> {
  const again = SAID.find((name) => options[name] !== undefined)
  if (again !== undefined) throw new UsageError(`${flagOf(again)} and --plan exclude each other`)
  const { growthOf, readPassthrough } = await import('../engine/recipes/passthrough')
  const bytes = await boundedRead(resolve(cwd, plan), MAX_BYTES, 'bad_request')
  const recipe = readPassthrough(new TextDecoder().decode(bytes), plan)
  const model = given ?? recipe.model
  const { num_hidden_layers: layers } = await shapeOf(model)
  const { method, damp } = growthOf(recipe, layers, plan)
  const { name, ...values } = method
  const places = 'gaps' in values ? { gaps: formatGaps(values.gaps ?? []) } : values
  return {
    model,
    options: {
      dtype: recipe.dtype,
      ...options,
      method: name,
      ...(places as Partial<ExpandOptions>),
      ...(damp === undefined ? {} : { damp }),
    },
  }
}
