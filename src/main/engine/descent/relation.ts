/** @file Whether a checkpoint can be what became of a grown one: known from configs, names, shapes and a few samples. */
import { realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AppError, type ErrorContext } from '@shared/errors'
import { isOutsideDecoder, placeInLayers } from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { bytesPerElement, decodeToFloat32, isTensorDtype } from '../checkpoint/dtypes'
import { trainedLayers } from '../pretraining/course'
import { ChangeSum, type Models, type Pair } from './weights'

/** Matrices of which a part is read, at even distances, and how much of each. */
const SAMPLED_MATRICES = 24
const SAMPLED_ELEMENTS = 4096

/** Of a matrix's norm: a training moves weights by some hundredths of it, those of another model are 1.4 apart. */
const UNRELATED = 0.7

/** What the shapes follow from, as the config calls it. */
const SHAPES = {
  num_hidden_layers: 'numHiddenLayers',
  hidden_size: 'hiddenSize',
  intermediate_size: 'intermediateSize',
  num_attention_heads: 'numAttentionHeads',
  num_key_value_heads: 'numKeyValueHeads',
  head_dim: 'headDim',
  vocab_size: 'vocabSize',
} as const satisfies Record<string, keyof ModelConfig>

/** What is computed with the weights; a difference makes another model of the same ones. */
const COMPUTATION = {
  rms_norm_eps: 'rmsNormEps',
  hidden_act: 'hiddenAct',
  max_position_embeddings: 'maxPositionEmbeddings',
  rope_parameters: 'rope',
  sliding_window: 'windows',
} as const satisfies Record<string, keyof ModelConfig>

/** What a comparison reads: by layers, and outside them. */
export interface Relation {
  readonly newLayers: readonly number[]
  /** Of each layer, in the order of its modules. */
  readonly layers: readonly (readonly Pair[])[]
  readonly outside: readonly Pair[]
  /** What could not be compared, or is computed otherwise, a sentence each. */
  readonly remarks: readonly string[]
}

/**
 * Finds each tensor's counterpart.
 *
 * @throws AppError `shape_mismatch` where the one cannot have become the other: it says which field or tensor tells;
 *   `bad_request` where `lesa.json` of the start does not say which layers are new, or both are one folder.
 */
export async function relate(models: Models): Promise<Relation> {
  const { start, trained } = models
  await refuseSame(models)
  const newLayers = await trainedLayers(start, { train: 'new' }, START_HINT)
  refuseOtherShapes(models)
  const suffixesOf = (layer: number): Set<string> =>
    new Set(
      [trained, start].flatMap(({ architecture, config }) =>
        architecture.layerTensors(config, layer).map(({ suffix }) => suffix),
      ),
    )
  const layers = Array.from({ length: trained.config.numHiddenLayers }, (_, layer) =>
    [...suffixesOf(layer)].map((suffix) =>
      inBoth(models, (checkpoint) => checkpoint.layerTensorName(layer, suffix)),
    ),
  )
  const embeddings = inBoth(models, ({ architecture }) => architecture.embedTokens)
  const head = inBoth(models, headOf)
  const isHeadStored = head.start !== embeddings.start || head.trained !== embeddings.trained
  const outside = [
    embeddings,
    inBoth(models, ({ architecture }) => architecture.finalNorm),
    ...(isHeadStored ? [head] : []),
    ...otherParts(models),
  ]
  const known = new Set(
    [...layers.flat(), ...outside].flatMap((pair) => [pair.start, pair.trained]),
  )
  const relation = {
    newLayers,
    layers,
    outside,
    remarks: [...computationRemarks(models), ...otherTensorRemarks(models, known)],
  }
  await refuseUnrelated(models, relation)
  return relation
}

const START_HINT =
  'Choose the grown checkpoint itself, with the lesa.json that was written with it.'

/** A tensor by the name that each model has for it: of one decoder inside another they may differ. */
const inBoth = ({ start, trained }: Models, nameIn: (checkpoint: Checkpoint) => string): Pair => ({
  start: nameIn(start),
  trained: nameIn(trained),
})

/** Tensors of what lies around a decoder inside another model, with or without what modules' names begin with. */
function otherParts({ start, trained }: Models): Pair[] {
  const byModule = new Map(outsideOf(start).map((name) => [moduleName(name), name]))
  return outsideOf(trained).flatMap((name): Pair[] => {
    const other = byModule.get(moduleName(name)) ?? ''
    const [was, is] = [start.tensors.get(other), trained.tensors.get(name)]
    return was?.shape.join() === is?.shape.join() ? [{ start: other, trained: name }] : []
  })
}

const moduleName = (name: string): string => name.replace(/^model\./, '')

function outsideOf({ tensors, architecture }: Checkpoint): string[] {
  return [...tensors.values()].flatMap(({ name, dtype }) =>
    isOutsideDecoder(architecture, name) && isTensorDtype(dtype) ? [name] : [],
  )
}

/** The head's matrix, whichever the config says of a tie: a head that is stored is the one that is used. */
function headOf({ tensors, architecture: { lmHead, embedTokens } }: Checkpoint): string {
  return tensors.has(lmHead) ? lmHead : embedTokens
}

async function refuseSame({ start, trained }: Models): Promise<void> {
  const [a, b] = await Promise.all([realpath(start.path), realpath(trained.path)])
  if (a !== b) return
  throw new AppError('bad_request', 'The trained checkpoint and its start are the same folder.', {
    hint: 'Choose the folder that the training wrote.',
    context: { file: trained.path, field: 'trained' },
  })
}

function refuseOtherShapes({ start, trained }: Models): void {
  const [was, is] = [start.config, trained.config]
  if (was.modelType !== is.modelType) {
    throw otherModel(
      { start, trained },
      `it is of the type ${is.modelType}, not ${was.modelType}`,
      {
        field: 'model_type',
        expected: was.modelType,
        actual: is.modelType,
      },
    )
  }
  for (const [field, key] of Object.entries(SHAPES)) {
    if (was[key] === is[key]) continue
    throw otherModel({ start, trained }, `its ${field} is ${is[key]}, not ${was[key]}`, {
      field,
      expected: String(was[key]),
      actual: String(is[key]),
    })
  }
}

function otherModel({ start, trained }: Models, why: string, context: ErrorContext): AppError {
  return new AppError(
    'shape_mismatch',
    `${basename(trained.path)} did not come from ${basename(start.path)}: ${why}.`,
    {
      hint: 'Choose the grown checkpoint that its training began from.',
      context: { file: context.field === undefined ? trained.path : configOf(trained), ...context },
    },
  )
}

function configOf({ path }: Checkpoint): string {
  return join(path, 'config.json')
}

function computationRemarks({ start, trained }: Models): string[] {
  return Object.entries(COMPUTATION).flatMap(([field, key]) => {
    const [was, is] = [start, trained].map(({ config }) => JSON.stringify(config[key]))
    return was === is
      ? []
      : [
          `config.json: ${field} is not the start's, so that the same weights would give other numbers.`,
        ]
  })
}

/** Tables that are computed, whether or not a file has them. */
const COMPUTED = /(?:^|\.)(?:rotary_emb\.inv_freq|position_ids)$/

function otherTensorRemarks({ start, trained }: Models, known: ReadonlySet<string>): string[] {
  const others = new Set(
    [start, trained].flatMap(({ tensors }) =>
      [...tensors.keys()].filter((name) => !known.has(name) && !COMPUTED.test(name)),
    ),
  )
  return others.size === 0
    ? []
    : [
        `${others.size} tensors are none of this architecture's and not compared: ${[...others].slice(0, 3).join(', ')}${others.size > 3 ? ' …' : ''}.`,
      ]
}

/**
 * A model of the same shape that was made otherwise: of its matrices outside the new layers, none is nearly the start's.
 * Samples tell; reading all would take as long as the comparison.
 */
async function refuseUnrelated(models: Models, relation: Relation): Promise<void> {
  const { trained, start } = models
  const isNew = new Set(relation.newLayers)
  const matrices = [
    // Other models may have the same eyes.
    ...relation.outside.filter((pair) => !isOutsideDecoder(trained.architecture, pair.trained)),
    ...relation.layers.flatMap((pairs, layer) => (isNew.has(layer) ? [] : pairs)),
  ].filter((pair) => (trained.tensors.get(pair.trained)?.shape.length ?? 0) > 1)
  const count = Math.min(SAMPLED_MATRICES, matrices.length)
  let furthest: Pair | null = null
  for (let sample = 0; sample < count; sample += 1) {
    const pair = matrices[Math.floor((sample * matrices.length) / count)]
    if (!pair) continue
    const sum = new ChangeSum()
    sum.add(await sampleOf(start, pair.start), await sampleOf(trained, pair.trained))
    const { relative } = sum.result()
    if (relative !== null && relative < UNRELATED) return
    furthest ??= pair
  }
  if (!furthest) return
  const where = placeInLayers(trained.architecture, furthest.trained) ? 'layers' : 'weights'
  throw new AppError(
    'shape_mismatch',
    `${basename(trained.path)} did not come from ${basename(start.path)}: its original ${where} are another model's.`,
    {
      hint: 'Choose the grown checkpoint that its training began from.',
      context: {
        file: trained.path,
        tensor: furthest.trained,
        expected: `nearly the weights of ${start.path}`,
        actual: 'none of the matrices that were looked at',
      },
    },
  )
}

/** From the middle: the first rows of an embedding are often unused and alike. */
async function sampleOf(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const tensor = checkpoint.tensors.get(name)
  if (!tensor || !isTensorDtype(tensor.dtype)) return new Float32Array(0)
  const size = bytesPerElement(tensor.dtype)
  const elements = tensor.byteLength / size
  const first = Math.max(0, Math.floor((elements - SAMPLED_ELEMENTS) / 2))
  const end = Math.min(elements, first + SAMPLED_ELEMENTS)
  return decodeToFloat32(
    await checkpoint.readBytes(name, { start: first * size, end: end * size }),
    tensor.dtype,
  )
}
