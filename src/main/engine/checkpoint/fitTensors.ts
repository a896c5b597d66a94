/**
 * @file Which tensor of the files is which of the architecture's, as generously as the reference loader and never by a
 * guess. What was assumed or left out is said.
 */
import { AppError } from '@shared/errors'
import { fewOf } from '@shared/text'
import {
  besideLayers,
  elementsOf,
  isOutsideDecoder,
  placeInLayers,
  type Architecture,
  type LayerTensorRole,
} from '../architectures/Architecture'
import type { ModelConfig } from '../architectures/config'
import { isTensorDtype } from './dtypes'
import { storedTwice, unfoundError, type Folder, type TensorInfo } from './folder'
import { savedInside } from './tensorNames'

export interface FittedTensors {
  /** By the architecture's names; those that it does not know included, under their own. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** Elements of the biases that the files leave out, by name: they are zero. */
  readonly zeros: ReadonlyMap<string, number>
  /** A sentence each. */
  readonly remarks: readonly string[]
}

interface Expected {
  readonly shape: readonly number[]
  readonly role: LayerTensorRole | null
}

/** Tables that older versions of the reference stored and newer ones compute. */
const COMPUTED = /(?:^|\.)(?:rotary_emb\.inv_freq|position_ids)$/

/**
 * Finds every tensor that the architecture needs, with the shape that the config gives it, in floats.
 *
 * @throws AppError `bad_checkpoint`, `shape_mismatch`, `unsupported_dtype`.
 */
export function fitTensors(
  folder: Folder,
  architecture: Architecture,
  config: ModelConfig,
): FittedTensors {
  const remarks: string[] = []
  const expected = expectedTensors(architecture, config)
  const rename = namingOf([...folder.tensors.keys()], architecture, expected)
  const tensors = renamed(folder.tensors, rename, remarks)
  if (config.tieWordEmbeddings) takeTiedHead(tensors, architecture, remarks)
  dropOtherLayers(tensors, architecture, config, remarks)
  const zeros = checkExpected(folder, tensors, expected, rename, architecture, config)
  remarks.push(
    ...outsideRemarks(tensors, architecture),
    ...zeroRemarks(zeros, architecture, config),
    ...unusedRemarks(tensors, expected, architecture, config),
    ...unfoundRemarks(folder),
  )
  return { tensors, zeros, remarks }
}

function expectedTensors(
  architecture: Architecture,
  config: ModelConfig,
): ReadonlyMap<string, Expected> {
  const { hiddenSize, vocabSize, numHiddenLayers } = config
  const { embedTokens, finalNorm, lmHead, layerPrefix } = architecture
  const expected = new Map<string, Expected>()
  const put = (name: string, shape: readonly number[], role: Expected['role'] = null) =>
    expected.set(name, { shape, role })
  put(embedTokens, [vocabSize, hiddenSize])
  for (let layer = 0; layer < numHiddenLayers; layer += 1) {
    for (const { suffix, shape, role } of architecture.layerTensors(config, layer)) {
      put(`${layerPrefix}${layer}.${suffix}`, shape, role)
    }
  }
  for (const { name, shape } of besideLayers(architecture, config)) put(name, shape)
  put(finalNorm, [hiddenSize])
  put(lmHead, [vocabSize, hiddenSize])
  return expected
}

/** The architecture's name for each name in the files. */
function namingOf(
  names: readonly string[],
  { embedTokens, layerPrefix }: Architecture,
  expected: ReadonlyMap<string, Expected>,
): (name: string) => string {
  const wrapper = savedInside(names)
  // `model.`, which files saved from the decoder without its head lack.
  const base = embedTokens.slice(0, embedTokens.indexOf('.') + 1)
  const isKnown = (name: string): boolean =>
    expected.has(name) ||
    /^\d+\./.test(name.startsWith(layerPrefix) ? name.slice(layerPrefix.length) : '')
  return (name) => {
    const inner = name.startsWith(wrapper) ? name.slice(wrapper.length) : name
    if (isKnown(inner)) return inner
    if (inner.startsWith(base) && isKnown(inner.slice(base.length))) return inner.slice(base.length)
    return isKnown(base + inner) ? base + inner : inner
  }
}

function renamed(
  stored: Folder['tensors'],
  rename: (name: string) => string,
  remarks: string[],
): Map<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>()
  const changed: string[] = []
  for (const tensor of stored.values()) {
    const name = rename(tensor.name)
    const other = tensors.get(name)
    if (other) throw storedTwice(name, [other.file, tensor.file])
    if (name !== tensor.name) changed.push(`${tensor.name} as ${name}`)
    tensors.set(name, { ...tensor, name })
  }
  if (changed.length > 0) {
    remarks.push(
      `${changed.length} tensors are stored with another prefix than usual and read under their usual names: ${fewOf(changed, 1)}.`,
    )
  }
  return tensors
}

/** Tied models may be saved with either of the two. */
function takeTiedHead(
  tensors: Map<string, TensorInfo>,
  { embedTokens, lmHead }: Architecture,
  remarks: string[],
): void {
  const head = tensors.get(lmHead)
  if (!head || tensors.has(embedTokens)) return
  tensors.delete(lmHead)
  tensors.set(embedTokens, { ...head, name: embedTokens })
  remarks.push(`Only ${lmHead} is stored; the embeddings are tied to it and read from there.`)
}

/** Layers beyond the config's count would collide with those of the grown model; loaders leave them out. */
function dropOtherLayers(
  tensors: Map<string, TensorInfo>,
  { layerPrefix }: Architecture,
  { numHiddenLayers }: ModelConfig,
  remarks: string[],
): void {
  const layers = new Set<string>()
  let dropped = 0
  for (const name of tensors.keys()) {
    if (!name.startsWith(layerPrefix)) continue
    const number = /^(0|[1-9]\d*)\./.exec(name.slice(layerPrefix.length))?.[1]
    if (number !== undefined && Number(number) < numHiddenLayers) continue
    tensors.delete(name)
    dropped += 1
    layers.add(number ?? name)
  }
  if (dropped === 0) return
  remarks.push(
    `The config has ${numHiddenLayers} layers, the files have more: ${dropped} tensors (layer ${fewOf([...layers])}) are left out, as other loaders do.`,
  )
}

/** @returns the biases that are missing. */
function checkExpected(
  folder: Folder,
  tensors: ReadonlyMap<string, TensorInfo>,
  expected: ReadonlyMap<string, Expected>,
  rename: (name: string) => string,
  { lmHead, embedTokens }: Architecture,
  { tieWordEmbeddings }: ModelConfig,
): Map<string, number> {
  const zeros = new Map<string, number>()
  for (const [name, { shape, role }] of expected) {
    const tensor = tensors.get(name)
    if (tensor) checkTensor(tensor, shape)
    else if (role === 'bias') zeros.set(name, elementsOf(shape))
    else if (name !== lmHead || !tieWordEmbeddings) {
      throw missing(folder, name, shape, rename, name === lmHead && tensors.has(embedTokens))
    }
  }
  return zeros
}

function missing(
  folder: Folder,
  name: string,
  shape: readonly number[],
  rename: (name: string) => string,
  isHead: boolean,
): AppError {
  const promised = [...(folder.unfound?.tensors.keys() ?? [])].find((each) => rename(each) === name)
  if (folder.unfound && promised !== undefined) return unfoundError(folder.unfound, promised)
  return new AppError('bad_checkpoint', `${folder.path} lacks the tensor "${name}".`, {
    hint: isHead
      ? 'Where the model uses its embeddings for the output too, its config.json has to say "tie_word_embeddings": true.'
      : 'The weights do not belong to the config, or the download is incomplete.',
    context: {
      file: folder.path,
      tensor: name,
      expected: `[${shape.join(', ')}]`,
      actual: 'missing',
    },
  })
}

function checkTensor(tensor: TensorInfo, shape: readonly number[]): void {
  const expected = `[${shape.join(', ')}]`
  const actual = `[${tensor.shape.join(', ')}]`
  if (actual !== expected) {
    throw new AppError(
      'shape_mismatch',
      `"${tensor.name}" has shape ${actual}, the config says ${expected}.`,
      {
        hint: 'The weights do not belong to the config.',
        context: { file: tensor.file, tensor: tensor.name, expected, actual },
      },
    )
  }
  if (!isTensorDtype(tensor.dtype)) throw unreadable(tensor)
}

export function unreadable(tensor: TensorInfo): AppError {
  return new AppError('unsupported_dtype', `"${tensor.name}" is stored as ${tensor.dtype}.`, {
    hint: 'Weights are computed with in BF16, F16 or F32; convert the model first.',
    context: {
      file: tensor.file,
      tensor: tensor.name,
      expected: 'BF16, F16 or F32',
      actual: tensor.dtype,
    },
  })
}

/** What comes along of a model that sees or hears. */
function outsideRemarks(
  tensors: ReadonlyMap<string, TensorInfo>,
  architecture: Architecture,
): string[] {
  if (architecture.wrapping === null) return []
  const outside = [...tensors.keys()].filter((name) => isOutsideDecoder(architecture, name))
  const parts = [...new Set(outside.map((name) => /^(?:model\.)?([^.]+)/.exec(name)?.[1] ?? name))]
  return [
    outside.length === 0
      ? `Of ${architecture.architectureName} the files have the text decoder alone.`
      : `The text decoder of ${architecture.architectureName} is what is measured, grown and trained. ${outside.length} tensors outside of it (${fewOf(parts)}) are copied byte for byte, whatever element type is chosen.`,
  ]
}

function zeroRemarks(
  zeros: ReadonlyMap<string, number>,
  architecture: Architecture,
  { numHiddenLayers }: ModelConfig,
): string[] {
  const counts = countSuffixes(architecture, zeros.keys())
  if (counts.size === 0) return []
  const isEverywhere = [...counts.values()].every((count) => count === numHiddenLayers)
  const where = isEverywhere ? 'the files lack' : 'the files lack in some layers'
  return [
    `The model has biases that ${where} (${fewOf([...counts.keys()])}); they are zero, as in other loaders.`,
  ]
}

function unusedRemarks(
  tensors: ReadonlyMap<string, TensorInfo>,
  expected: ReadonlyMap<string, Expected>,
  architecture: Architecture,
  { numHiddenLayers }: ModelConfig,
): string[] {
  const unused = [...tensors.keys()].filter(
    (name) => !expected.has(name) && !COMPUTED.test(name) && !isOutsideDecoder(architecture, name),
  )
  const isBias = (name: string): boolean => name.endsWith('.bias')
  const biases = unused.filter(isBias)
  const others = unused.filter((name) => !isBias(name))
  // Layers of another kind have others.
  const due = countSuffixes(architecture, expected.keys())
  const uneven = [...countSuffixes(architecture, tensors.keys())]
    .filter(([suffix, count]) => count < (due.get(suffix) ?? numHiddenLayers))
    .map(([suffix]) => suffix)
  return [
    ...(biases.length > 0
      ? [
          `${biases.length} biases of the files are not in the config and not used, as in other loaders: ${fewOf(biases)}. They are carried along.`,
        ]
      : []),
    ...(others.length > 0
      ? [
          `${others.length} tensors are none of this architecture's and not used: ${fewOf(others)}. They are carried along.`,
        ]
      : []),
    ...(uneven.length > 0
      ? [
          `Not every layer has ${fewOf(uneven)}: a computed layer takes it from the layer before it, or else from the one after.`,
        ]
      : []),
  ]
}

function unfoundRemarks({ unfound }: Folder): string[] {
  if (!unfound) return []
  const names = [...unfound.tensors.keys()]
  return [
    `The index lists ${names.length} tensors that its files do not hold and the model does not need: ${fewOf(names)}.`,
  ]
}

/** In how many layers each name within a layer occurs. */
function countSuffixes(
  architecture: Architecture,
  names: Iterable<string>,
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) {
    const suffix = placeInLayers(architecture, name)?.suffix
    if (suffix !== undefined) counts.set(suffix, (counts.get(suffix) ?? 0) + 1)
  }
  return counts
}
