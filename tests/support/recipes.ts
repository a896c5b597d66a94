import type { MethodSpec } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import type { RecipeSubject } from '../../src/main/engine/recipes/RecipeSubject'

const SUFFIXES: readonly (readonly [string, readonly number[]])[] = [
  ['input_layernorm.weight', [128]],
  ['self_attn.q_proj.weight', [128, 128]],
  ['self_attn.q_proj.bias', [128]],
  ['self_attn.o_proj.weight', [128, 128]],
  ['mlp.down_proj.weight', [128, 384]],
]

export const namesOf = (layer: number): string[] =>
  SUFFIXES.map(([suffix]) => `model.layers.${layer}.${suffix}`)

/** All parameters of a model of so many layers. */
export const allNames = (layers: number): string[] => [
  'model.embed_tokens.weight',
  ...Array.from({ length: layers }, (_, layer) => namesOf(layer)).flat(),
  'model.norm.weight',
  'lm_head.weight',
]

/** What the recipes know of a model grown so. */
export function subjectOf(
  method: MethodSpec,
  layersBefore: number,
  changes: Partial<RecipeSubject> = {},
): RecipeSubject {
  const plan = planExpansion(method, layersBefore)
  const trained = plan.newLayers.flatMap((layer) =>
    SUFFIXES.map(([suffix, shape]) => ({ name: `model.layers.${layer}.${suffix}`, shape })),
  )
  return {
    baseModel: 'org/base',
    method: method.name,
    architectureName: 'LlamaForCausalLM',
    layerPrefix: 'model.layers.',
    storedNames: null,
    layersBefore,
    layers: plan.layers.map(({ kind, source }) => ({
      kind: kind === 'computed' ? method.name : kind,
      source: kind === 'computed' ? null : source,
    })),
    newLayers: plan.newLayers,
    trained,
    parameters: 1000 * plan.layers.length + 500,
    trainedParameters: 1000 * plan.newLayers.length,
    startsFromZero: method.name === 'llama-pro',
    damp: 1,
    isTrained: false,
    dtype: 'bfloat16',
    hiddenSize: 128,
    intermediateSize: 384,
    vocabSize: 512,
    numAttentionHeads: 4,
    maxPositionEmbeddings: 4096,
    ...changes,
  }
}
