/** @file Which tensor of the grown model comes from where. */
import { createReadStream } from 'node:fs'
import { AppError } from '@shared/errors'
import type { OutputDtype, TensorDtype } from '@shared/jobs'
import type { RestChoice } from '@shared/methods'
import type { ExpansionPlan, PlannedLayer } from '@shared/plan'
import { WEIGHT_TYPES, type WeightType } from '@shared/weightTypes'
import type { Checkpoint, TensorInfo } from '../checkpoint/Checkpoint'
import type { OutputTensor } from '../checkpoint/CheckpointWriter'
import {
  bytesPerElement,
  decodeToFloat32,
  encodeFromFloat32,
  isTensorDtype,
  outputDtype,
} from '../checkpoint/dtypes'

/** Bytes converted at a time; a multiple of every element size. */
const CHUNK_BYTES = 2 ** 22

export interface AssembleOptions {
  readonly checkpoint: Checkpoint
  readonly plan: ExpansionPlan
  readonly rest: RestChoice
  readonly dtype: OutputDtype
  /** File that holds a predicted matrix in its output dtype, little-endian. */
  readonly predictedFile: (index: number, type: WeightType) => string
  /** Tensors of the base model that the grown one does without: a head that repeats the tied embeddings. */
  readonly dropped: ReadonlySet<string>
}

/** Every tensor of the grown model: what is not in a layer as it is, then the planned layers under their new numbers. */
export function assemble(options: AssembleOptions): OutputTensor[] {
  const { checkpoint, plan } = options
  const byLayer = new Map<number, Map<string, TensorInfo>>()
  const output: OutputTensor[] = []
  for (const tensor of checkpoint.tensors.values()) {
    if (options.dropped.has(tensor.name)) continue
    const place = layerOf(checkpoint, tensor.name)
    if (!place) {
      output.push(copied(options, tensor.name, tensor))
      continue
    }
    const layer = byLayer.get(place.layer) ?? new Map<string, TensorInfo>()
    byLayer.set(place.layer, layer.set(place.suffix, tensor))
  }
  plan.layers.forEach((layer, index) => {
    for (const [suffix, tensor] of byLayer.get(layer.source) ?? []) {
      output.push(layerTensor(options, layer, index, suffix, tensor))
    }
  })
  return output
}

function layerTensor(
  options: AssembleOptions,
  layer: PlannedLayer,
  index: number,
  suffix: string,
  tensor: TensorInfo,
): OutputTensor {
  const { checkpoint } = options
  const { architecture } = checkpoint
  const name = checkpoint.layerTensorName(index, suffix)
  switch (layer.kind) {
    case 'original':
    case 'copy':
      return copied(options, name, tensor)
    case 'identity':
      return architecture.identityZeros.includes(suffix)
        ? zeros(options, name, tensor)
        : copied(options, name, tensor)
    case 'computed': {
      const type = WEIGHT_TYPES.find(
        (candidate) => suffix === `${architecture.weights[candidate]}.weight`,
      )
      if (type && options.plan.method !== 'neighbour-mean') {
        const file = options.predictedFile(index, type)
        return produced(options, name, tensor, () =>
          createReadStream(file, { highWaterMark: CHUNK_BYTES }),
        )
      }
      if (type) return blended(options, name, suffix, layer.gap, positionOf(options.plan, index))
      return restTensor(options, layer, index, suffix, tensor)
    }
  }
}

/** Norm weights, biases and whatever else is not predicted, by the chosen rule. */
function restTensor(
  options: AssembleOptions,
  layer: Extract<PlannedLayer, { kind: 'computed' }>,
  index: number,
  suffix: string,
  tensor: TensorInfo,
): OutputTensor {
  const { checkpoint, rest } = options
  const name = checkpoint.layerTensorName(index, suffix)
  const from = (source: number): OutputTensor =>
    copied(options, name, find(checkpoint, checkpoint.layerTensorName(source, suffix)))
  switch (rest) {
    case 'previous':
      return from(layer.gap)
    case 'next':
      return from(layer.gap + 1)
    case 'first':
      return from(0)
    case 'mean':
      // What is not a float (a counter, a mask) has no mean.
      return isTensorDtype(tensor.dtype)
        ? blended(options, name, suffix, layer.gap, positionOf(options.plan, index))
        : from(layer.gap)
  }
}

/** Where a computed layer lies between the base layers around its gap: ½ when it is alone, then by bisection. */
export function positionOf(plan: ExpansionPlan, index: number): number {
  const layer = plan.layers[index]
  if (layer?.kind !== 'computed') {
    throw new AppError('bug', `Layer ${index} is not a computed one.`)
  }
  const of = (neighbour: number): number => {
    const other = plan.layers[neighbour]
    if (other?.kind === 'computed') return positionOf(plan, neighbour)
    return other?.source === layer.gap ? 0 : 1
  }
  return (of(layer.left) + of(layer.right)) / 2
}

/** (1 − t)·tensor of layer `gap` + t·tensor of layer `gap + 1`. */
function blended(
  options: AssembleOptions,
  name: string,
  suffix: string,
  gap: number,
  t: number,
): OutputTensor {
  const { checkpoint } = options
  const left = find(checkpoint, checkpoint.layerTensorName(gap, suffix))
  const right = find(checkpoint, checkpoint.layerTensorName(gap + 1, suffix))
  return produced(options, name, left, async function* (dtype) {
    const rows = left.shape[0] ?? 1
    const rowSize = left.shape.slice(1).reduce((product, dim) => product * dim, 1)
    const step = Math.max(1, Math.floor(CHUNK_BYTES / (4 * Math.max(1, rowSize))))
    for (let start = 0; start < rows; start += step) {
      const range = [start, Math.min(rows, start + step)] as const
      const a = await checkpoint.readFloat32(left.name, { rows: range })
      const b = await checkpoint.readFloat32(right.name, { rows: range })
      for (let i = 0; i < a.length; i += 1) a[i] = (1 - t) * (a[i] ?? 0) + t * (b[i] ?? 0)
      yield encodeFromFloat32(a, dtype)
    }
  })
}

function copied(options: AssembleOptions, name: string, tensor: TensorInfo): OutputTensor {
  const dtype = outputDtype(tensor.dtype, options.dtype)
  if (dtype === tensor.dtype) {
    return {
      name,
      dtype,
      shape: tensor.shape,
      byteLength: tensor.byteLength,
      content: { copy: tensor },
    }
  }
  return produced(options, name, tensor, async function* (target) {
    const stored = tensor.dtype as TensorDtype
    for await (const chunk of options.checkpoint.streamBytes(tensor.name, CHUNK_BYTES)) {
      yield encodeFromFloat32(decodeToFloat32(chunk, stored), target)
    }
  })
}

function zeros(options: AssembleOptions, name: string, tensor: TensorInfo): OutputTensor {
  return { ...announced(options, name, tensor), content: 'zeros' }
}

/** A tensor of `like`'s shape in the output's element type. */
function produced(
  options: AssembleOptions,
  name: string,
  like: TensorInfo,
  content: (dtype: TensorDtype) => AsyncIterable<Uint8Array>,
): OutputTensor {
  const tensor = announced(options, name, like)
  return { ...tensor, content: () => content(tensor.dtype) }
}

function announced(
  options: AssembleOptions,
  name: string,
  like: TensorInfo,
): Omit<OutputTensor, 'content'> & { readonly dtype: TensorDtype } {
  const dtype = outputDtype(like.dtype, options.dtype) as TensorDtype
  const elements = like.shape.reduce((product, dim) => product * dim, 1)
  return { name, dtype, shape: like.shape, byteLength: elements * bytesPerElement(dtype) }
}

/**
 * Whether a checkpoint with tied embeddings stores the head a second time. A copy is dropped; a head that differs is
 * kept and the tie undone, which is how current loaders read such a file.
 */
export async function tiedHead(
  checkpoint: Checkpoint,
): Promise<'none' | 'repeats_embeddings' | 'differs'> {
  const { embedTokens, lmHead } = checkpoint.architecture
  const embeddings = checkpoint.tensors.get(embedTokens)
  const head = checkpoint.tensors.get(lmHead)
  if (!checkpoint.config.tieWordEmbeddings || !embeddings || !head) return 'none'
  if (embeddings.dtype !== head.dtype || embeddings.byteLength !== head.byteLength) return 'differs'
  for (let start = 0; start < head.byteLength; start += CHUNK_BYTES) {
    const range = { start, end: Math.min(head.byteLength, start + CHUNK_BYTES) }
    const [a, b] = await Promise.all([
      checkpoint.readBytes(embedTokens, range),
      checkpoint.readBytes(lmHead, range),
    ])
    if (Buffer.compare(a, b) !== 0) return 'differs'
  }
  return 'repeats_embeddings'
}

function layerOf(checkpoint: Checkpoint, name: string): { layer: number; suffix: string } | null {
  const { layerPrefix } = checkpoint.architecture
  if (!name.startsWith(layerPrefix)) return null
  const match = /^(\d+)\.(.+)$/.exec(name.slice(layerPrefix.length))
  return match?.[1] && match[2] ? { layer: Number(match[1]), suffix: match[2] } : null
}

function find(checkpoint: Checkpoint, name: string): TensorInfo {
  const tensor = checkpoint.tensors.get(name)
  if (tensor) return tensor
  throw new AppError('bad_checkpoint', `The checkpoint has no tensor "${name}".`, {
    context: {
      file: checkpoint.path,
      tensor: name,
      expected: 'the same tensors in every layer',
      actual: 'missing',
    },
  })
}
