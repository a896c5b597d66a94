/** @file Making a recipes' subject: from a grown checkpoint's tensors and config, and from what its `lesa.json` says. */
import { z } from 'zod'
import { AppError } from '@shared/errors'
import { METHODS, methodNamed, type Method } from '@shared/methods'
import {
  besideLayers,
  decoderPrefix,
  elementsOf,
  isOutsideDecoder,
  placeInLayers,
  type Architecture,
  type LayerTensor,
} from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import type { RecipeLayer, RecipeParameter, RecipeSubject } from './RecipeSubject'

/** A tensor of the grown checkpoint: its name in the files, its type of the safetensors format, and its shape. */
export interface RecipeTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
}

/** What recipes are made from. */
export interface GrownFacts {
  /** Names the checkpoint's `lesa.json` in errors. */
  readonly file: string
  readonly architecture: Architecture
  /** Of the grown model. */
  readonly config: ModelConfig
  /** All of the checkpoint's; each layer is complete, but for biases that are zero. */
  readonly tensors: Iterable<RecipeTensor>
  /** The content of its `lesa.json`. */
  readonly lesa: unknown
}

const count = z.int().min(0)

const lesaSchema = z.looseObject({
  base_model: z.string().min(1),
  method: z.enum(METHODS),
  num_hidden_layers: z.object({ before: count, after: count }),
  new_layers: z.array(count),
  layers: z.array(z.looseObject({ kind: z.string(), source: count.optional() })),
  settings: z.looseObject({ damp: z.unknown().optional() }).optional(),
  training: z.array(z.unknown()).optional(),
})
type Lesa = z.infer<typeof lesaSchema>

const DTYPES: Readonly<Record<string, string>> = {
  BF16: 'bfloat16',
  F16: 'float16',
  F32: 'float32',
}

/**
 * @throws AppError `bad_checkpoint` when `lesa.json` does not say how the model was grown, or says something else than
 *   the config; `bad_request` when no layer is new.
 */
export function recipeSubject(facts: GrownFacts): RecipeSubject {
  const { architecture, config } = facts
  const lesa = readLesa(facts)
  const { embedTokens, finalNorm, lmHead, names } = architecture
  const parametersOf = (layer: number): LayerTensor[] =>
    architecture.layerTensors(config, layer).filter(({ role }) => role !== 'buffer')
  const perLayer = Array.from({ length: config.numHiddenLayers }, (_, layer) =>
    sum(parametersOf(layer).map(({ shape }) => elementsOf(shape))),
  )
  const isNew = new Set(lesa.new_layers)
  const newLayers = [...isNew].sort((a, b) => a - b)
  // What the model has and not what the files hold: they may leave out biases, and keep tables that are no parameters.
  const trained = newLayers.flatMap((layer) =>
    parametersOf(layer).map(({ suffix, shape }): RecipeParameter => ({
      name: `${names.layerPrefix}${layer}.${suffix}`,
      shape,
    })),
  )
  const tensors = [...facts.tensors]
  const beside = besideLayers(architecture, config).map((tensor) => tensor.name)
  const outside = new Set([
    embedTokens,
    finalNorm,
    ...beside,
    ...(config.tieWordEmbeddings ? [] : [lmHead]),
  ])
  const trainedTensor = tensors.find(({ name: tensor }) =>
    isNew.has(placeInLayers(architecture, tensor)?.layer ?? -1),
  )
  return {
    baseModel: lesa.base_model,
    method: lesa.method,
    architectureName: config.architectureName,
    layerPrefix: names.layerPrefix,
    storedNames: storedNames(architecture),
    layersBefore: lesa.num_hidden_layers.before,
    layers: lesa.layers.map(({ kind, source }): RecipeLayer => ({ kind, source: source ?? null })),
    newLayers,
    trained,
    parameters:
      sum(perLayer) +
      sum(
        tensors
          .filter(({ name }) => outside.has(name) || isOutsideDecoder(architecture, name))
          .map(({ shape }) => elementsOf(shape)),
      ),
    trainedParameters: sum(newLayers.map((layer) => perLayer[layer] ?? 0)),
    startsFromZero: startsFromZero(lesa),
    damp: dampOf(lesa),
    isTrained: isTrained(lesa),
    dtype: DTYPES[trainedTensor?.dtype ?? 'F32'] ?? 'float32',
    hiddenSize: config.hiddenSize,
    intermediateSize: config.intermediateSize,
    vocabSize: config.vocabSize,
    numAttentionHeads: config.numAttentionHeads,
    maxPositionEmbeddings: config.maxPositionEmbeddings,
  }
}

function storedNames({ wrapping, names, ...stored }: Architecture): RecipeSubject['storedNames'] {
  if (wrapping === null) return null
  const pairs = [
    [names.lmHead, stored.lmHead],
    [decoderPrefix(names), decoderPrefix(stored)],
  ]
  return Object.fromEntries(pairs.filter(([module, file]) => module !== file)) as Record<
    string,
    string
  >
}

function readLesa({ file, lesa: content, config }: GrownFacts): Lesa {
  const refuse = (field: string, expected: string, actual: string): AppError =>
    new AppError('bad_checkpoint', `${file} does not belong to the model's config.json.`, {
      hint: 'Grow the model again: recipes need to know which of its layers are new.',
      context: { file, field, expected, actual },
    })
  const parsed = lesaSchema.safeParse(content)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new AppError('bad_checkpoint', `${file} does not say how the model was grown.`, {
      hint: 'Recipes are for models that were grown here: grow the model again.',
      context: { file, field: issue?.path.join('.') ?? '', actual: issue?.message ?? '' },
    })
  }
  const lesa = parsed.data
  const { before, after } = lesa.num_hidden_layers
  if (after !== config.numHiddenLayers) {
    throw refuse('num_hidden_layers.after', `${config.numHiddenLayers}`, `${after}`)
  }
  if (lesa.layers.length !== after) {
    throw refuse('layers', `${after} layers`, `${lesa.layers.length}`)
  }
  const wrong = lesa.new_layers.find((layer) => layer >= after)
  if (wrong !== undefined) throw refuse('new_layers', `layers below ${after}`, `${wrong}`)
  const isNew = new Set(lesa.new_layers)
  if (isNew.size !== lesa.new_layers.length || before + isNew.size !== after) {
    throw refuse('new_layers', `${after - before} different layers`, lesa.new_layers.join(', '))
  }
  const mistaken = lesa.layers.findIndex(
    ({ kind }, index) => (kind === 'original') === isNew.has(index),
  )
  if (mistaken >= 0) {
    const kind = isNew.has(mistaken) ? 'a new layer' : 'an original layer'
    throw refuse(`layers.${mistaken}.kind`, kind, lesa.layers[mistaken]?.kind ?? '')
  }
  if (isNew.size === 0) {
    throw new AppError('bad_request', 'The model has no new layers to train.', {
      hint: 'Recipes are for models with layers that their base does not have.',
      context: { file, field: 'new_layers', expected: 'at least one', actual: 'none' },
    })
  }
  return lesa
}

/** Whether the method writes zeros, or the damping made them, and no training has moved them since. */
function startsFromZero(lesa: Lesa): boolean {
  return (keepsOutput(lesa.method) || dampOf(lesa) === 0) && !isTrained(lesa)
}

/** What `auto` came to stands there as well. */
function dampOf({ settings }: Lesa): number {
  return typeof settings?.damp === 'number' ? settings.damp : 1
}

const isTrained = ({ training = [] }: Lesa): boolean => training.length > 0

const keepsOutput = (method: Method): boolean => methodNamed(method).keepsOutput === true

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0)
