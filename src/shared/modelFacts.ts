/** @file What the window and the command line say of a model in the same words. */
import type { ExpertSummary, ModelSummary } from './model'

/** Where a config does not have a number, or the model nothing that it could count. */
export const NO_NUMBER = '–'

/** `2 of 8 a token, of size 14336, and one of size 40 for every token` */
export function expertsText(experts: ExpertSummary, format: (value: number) => string): string {
  const { count, per_token: perToken, intermediate_size: size } = experts
  const { shared_intermediate_size: shared } = experts
  return [
    `${format(perToken)} of ${format(count)} a token, of size ${format(size)}`,
    ...(shared === null ? [] : [`one of size ${format(shared)} for every token`]),
  ].join(', ')
}

/**
 * How many layers there are of each type, in the order in which the types come: `10 × a window of 64 tokens, 2 × full
 * attention`.
 *
 * @param types As in `ModelSummary.layer_types`.
 */
export function layerTypesText(types: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1)
  return [...counts].map(([type, count]) => `${count} × ${type}`).join('; ')
}

/** The neurons of layers that have one MLP; `null` where none has, or where nothing is known of it. */
export function mlpSizeOf(model: ModelSummary): number | null {
  const hasDense = model.experts?.layers !== model.num_hidden_layers
  return hasDense && model.intermediate_size > 0 ? model.intermediate_size : null
}
