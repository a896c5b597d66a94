/** @file Which tensors the grown model has, and where each comes from. Nothing is read but names and shapes. */
import type { OutputDtype } from '@shared/jobs'
import type { RestChoice } from '@shared/methods'
import type { PlannedLayer } from '@shared/plan'
import { hasOrderedRows } from '../alignment/orders'
import {
  besideLayers,
  elementsOf,
  isOutsideDecoder,
  partsOf,
  placeInLayers,
  type RowPart,
} from '../architectures/Architecture'
import type { Checkpoint, TensorInfo } from '../checkpoint/Checkpoint'
import { bytesPerElement, isTensorDtype, newDtype } from '../checkpoint/dtypes'
import type { Work } from '../lib/work'

/** Two tensors of the base model, of the layers that a new one lies between, and how far from the first to the second. */
export interface Neighbours {
  readonly left: TensorInfo
  readonly right: TensorInfo
  /** Which elements of both. */
  readonly elements: readonly [start: number, end: number]
  /** Above 0, below 1. */
  readonly position: number
}

/** A new layer's matrix, which the method's filler gives; `layer` is its index in the grown model. */
export interface FilledSlot extends Neighbours {
  readonly type: string
  /** As of `Slot`. */
  readonly expert: number | null
  readonly layer: number
  /** The base layers that it is made from. */
  readonly sides: readonly [left: number, right: number]
  /** Of its bias or gain: the neighbours' mean, or one layer's, in the order that the new layer has. */
  readonly part?: RowPart
}

/** What a router is called among the slots that are filled. */
export const ROUTER = 'router'

/** Where a tensor of the grown model comes from. */
export type TensorSource =
  /** A tensor of the base model, in the output's element type. */
  | { readonly kind: 'base'; readonly tensor: TensorInfo }
  /** The same number everywhere. */
  | { readonly kind: 'constant'; readonly value: number }
  /** The weighted mean of both neighbours' tensors: norm weights and biases, which no method computes. */
  | ({ readonly kind: 'mean' } & Neighbours)
  /** A tensor outside the layers with a part for each of the base model's: those that the grown layers come from. */
  | ByLayer
  /** The slots that lie in the tensor, in the order of its elements. */
  | { readonly kind: 'filled'; readonly slots: readonly FilledSlot[] }

export interface ByLayer {
  readonly kind: 'by_layer'
  readonly tensor: TensorInfo
  /** The axis along which parts follow one another. */
  readonly along: 0 | 1
  /** The grown model's. */
  readonly layers: readonly Pick<PlannedLayer, 'source'>[]
  /** Layers of the base model. */
  readonly count: number
}

export interface LaidOutTensor {
  readonly name: string
  /** Of the safetensors format. */
  readonly dtype: string
  readonly shape: readonly number[]
  readonly byteLength: number
  readonly source: TensorSource
  /** What becomes of the source's values, where they do not stay as they are: `factor · value + shift`. */
  readonly change?: Change
}

export interface Change {
  readonly factor: number
  readonly shift: number
}

export interface GrownLayout {
  readonly tensors: readonly LaidOutTensor[]
  /** Elements of all tensors. */
  readonly parameters: number
  readonly bytes: number
  /** Element types, each once. */
  readonly dtypes: readonly string[]
}

export interface LayoutOptions {
  readonly layers: readonly PlannedLayer[]
  readonly rest: RestChoice
  readonly dtype: OutputDtype
  /** Factor of what new layers add to the residual stream; 1 without it. */
  readonly damp?: number
  /** Whether layers are matched, so that biases of computed layers have to be put into the new layer's order. */
  readonly aligned?: boolean
  /** How computed layers come to their experts and the router of these: element by element from both sides without it. */
  readonly experts?: 'as_they_are' | 'matched' | 'copied' | undefined
  /** The base model's head repeats its tied embeddings; the grown one does without it. */
  readonly dropsHead?: boolean
}

/** Every tensor of the grown model: what is not in a layer as it is, then the planned layers under their new numbers. */
export function layOut(checkpoint: Checkpoint, options: LayoutOptions): GrownLayout {
  const { layers, dtype, damp = 1, dropsHead = false } = options
  const { architecture, config } = checkpoint
  // A gain of 1 + weight shrinks towards weight −1.
  const damped = (suffix: string): Change => ({
    factor: damp,
    shift: (1 - damp) * architecture.silentValue(suffix),
  })
  const byLayer = new Map<number, Map<string, TensorInfo>>()
  const { numHiddenLayers } = config
  const besides = new Map(
    besideLayers(architecture, config).map((tensor) => [tensor.name, tensor] as const),
  )
  const tensors: LaidOutTensor[] = []
  const put = (name: string, like: TensorInfo, source: TensorSource, change?: Change): void => {
    // Another part of the model stays as it is.
    const wanted = isOutsideDecoder(checkpoint.architecture, name) ? 'keep' : dtype
    const size = sizeOf(like, newDtype(madeOf(source, like), wanted))
    const isChanged = change && change.factor !== 1 && source.kind !== 'constant'
    tensors.push({ name, ...size, source, ...(isChanged ? { change } : {}) })
  }
  for (const tensor of checkpoint.tensors.values()) {
    if (dropsHead && tensor.name === checkpoint.architecture.lmHead) continue
    const place = placeInLayers(checkpoint.architecture, tensor.name)
    const along = besides.get(tensor.name)?.layersAlong ?? null
    if (!place && along !== null) {
      const source: TensorSource = {
        kind: 'by_layer',
        tensor,
        along,
        layers,
        count: numHiddenLayers,
      }
      put(tensor.name, deepened(source), source)
    } else if (!place) put(tensor.name, tensor, { kind: 'base', tensor })
    else {
      const layer = byLayer.get(place.layer) ?? new Map<string, TensorInfo>()
      byLayer.set(place.layer, layer.set(place.suffix, tensor))
    }
  }
  const none: ReadonlyMap<string, TensorInfo> = new Map()
  const layerOf = (layer: number): ReadonlyMap<string, TensorInfo> => byLayer.get(layer) ?? none
  layers.forEach((layer, index) => {
    // What only one of two neighbours has, a computed layer has as well; the one before it comes first.
    const isComputed = layer.kind === 'computed'
    const like = isComputed
      ? new Map([...layerOf(layer.sides[1]), ...layerOf(layer.sides[0])])
      : layerOf(layer.source)
    const scales = architecture.residualScales(config, layer.source)
    for (const [suffix, tensor] of like) {
      const source = sourceOf(checkpoint, options, { layer, index, suffix, tensor })
      const shaped = source.kind === 'base' ? source.tensor : tensor
      const isDamped = layer.kind !== 'original' && scales.includes(suffix)
      const name = checkpoint.layerTensorName(index, suffix)
      if (isDamped && damp === 0) {
        put(name, shaped, { kind: 'constant', value: architecture.silentValue(suffix) })
      } else put(name, shaped, source, isDamped ? damped(suffix) : undefined)
    }
  })
  return {
    tensors,
    parameters: tensors.reduce((sum, { shape }) => sum + elementsOf(shape), 0),
    bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    dtypes: [...new Set(tensors.map((tensor) => tensor.dtype))],
  }
}

/** Whether a tensor's bytes are those of one of the base model's, so that they are copied and not made. */
export function isCopy({ source, dtype, change }: LaidOutTensor): boolean {
  return source.kind === 'base' && source.tensor.dtype === dtype && change === undefined
}

interface Place {
  readonly layer: PlannedLayer
  readonly index: number
  /** The name within the layer. */
  readonly suffix: string
  /** The tensor of that name in the layer that the new one is planned from, or else in its other neighbour. */
  readonly tensor: TensorInfo
}

function sourceOf(
  checkpoint: Checkpoint,
  { rest, aligned = false, experts = 'as_they_are' }: LayoutOptions,
  { layer, index, suffix, tensor }: Place,
): TensorSource {
  const { architecture, config } = checkpoint
  const { residualWriters, hasPostNorms } = architecture
  const scales = architecture.residualScales(config, layer.source)
  const silent: TensorSource = { kind: 'constant', value: architecture.silentValue(suffix) }
  if (layer.kind === 'identity' && scales.includes(suffix)) {
    const fitted =
      layer.isFitted === true ? fittedSlots(checkpoint, { layer, index, suffix, tensor }) : []
    return fitted.length > 0 ? { kind: 'filled', slots: fitted } : silent
  }
  if (layer.kind !== 'computed') return { kind: 'base', tensor }
  const { isIdentity = false } = layer
  if (isIdentity && scales.includes(suffix)) return silent
  // Only what is alike can be mixed, or taken for another.
  const of = (source: number): TensorInfo | null => {
    const found = checkpoint.tensors.get(checkpoint.layerTensorName(source, suffix))
    return found?.shape.join() === tensor.shape.join() ? found : null
  }
  const [left, right] = [of(layer.sides[0]), of(layer.sides[1])]
  const neighbours = (shape: readonly number[], offset = 0): Neighbours => ({
    left: left ?? tensor,
    right: right ?? tensor,
    elements: [offset, offset + elementsOf(shape)],
    position: layer.position,
  })
  const own = checkpoint.slotsOf(layer.source)
  const parts = partsOf(own, 'weight', suffix)
  // Silent by the norms behind them, these are not transported: those of the layer whose order the others are in stay.
  if (isIdentity && hasPostNorms && parts.some(({ id }) => residualWriters.includes(id))) {
    return { kind: 'base', tensor: right ?? tensor }
  }
  const { router } = architecture.forward.experts ?? {}
  const isRouter = suffix === `${router}.weight`
  const isOfExpert = isRouter || parts.some(({ expert }) => expert !== null)
  if (isOfExpert && experts === 'copied') return { kind: 'base', tensor: left ?? tensor }
  if (isRouter && experts === 'matched') {
    const whole = neighbours(tensor.shape)
    const filled = { type: ROUTER, expert: null, layer: index, sides: layer.sides, ...whole }
    return { kind: 'filled', slots: [filled] }
  }
  const slots = parts.map(({ id, expert, span }) => ({
    type: id,
    expert,
    layer: index,
    sides: layer.sides,
    ...neighbours(span.shape, span.offset),
  }))
  if (slots.length > 0) return { kind: 'filled', slots }
  const part = partsOf(own, 'gain', suffix).length > 0 ? 'gain' : 'bias'
  const byRows = partsOf(own, part, suffix)
  if ((aligned || isIdentity) && byRows.some(({ id }) => hasOrderedRows(id))) {
    // A transported bias or gain goes with its rows.
    const one = isIdentity ? null : { previous: left, next: right, first: of(0), mean: null }[rest]
    return {
      kind: 'filled',
      slots: byRows.map(({ id, expert, span }) => ({
        type: id,
        expert,
        layer: index,
        sides: layer.sides,
        part,
        ...neighbours(span.shape, span.offset),
        ...(one === null ? {} : { left: one, right: one }),
      })),
    }
  }
  switch (rest) {
    case 'previous':
      return { kind: 'base', tensor }
    case 'next':
      return { kind: 'base', tensor: right ?? tensor }
    case 'first':
      return { kind: 'base', tensor: of(0) ?? tensor }
    case 'mean': {
      // What is not a float (a counter, a mask) has no mean, nor has what only one of them has.
      const isMean =
        left !== null && right !== null && isTensorDtype(left.dtype) && isTensorDtype(right.dtype)
      return isMean ? { kind: 'mean', ...neighbours(tensor.shape) } : { kind: 'base', tensor }
    }
  }
}

/** The output matrix that is fitted; of a bias, which stays zero, nothing. */
function fittedSlots(
  checkpoint: Checkpoint,
  { layer, index, suffix, tensor }: Place,
): FilledSlot[] {
  return partsOf(checkpoint.slotsOf(layer.source), 'weight', suffix).map(
    ({ id, expert, span }) => ({
      type: id,
      expert,
      layer: index,
      sides: [layer.source, layer.source],
      left: tensor,
      right: tensor,
      elements: [span.offset, span.offset + elementsOf(span.shape)],
      position: 0,
    }),
  )
}

/** Stored types of what a tensor is made from. */
function madeOf(source: TensorSource, like: TensorInfo): string[] {
  switch (source.kind) {
    case 'constant':
      return [like.dtype]
    case 'base':
    case 'by_layer':
      return [source.tensor.dtype]
    case 'mean':
      return [source.left.dtype, source.right.dtype]
    case 'filled':
      return source.slots.flatMap(({ left, right }) => [left.dtype, right.dtype])
  }
}

/** The tensor with as many parts as the grown model has layers. */
function deepened({ tensor, along, layers, count }: ByLayer): TensorInfo {
  const shape = tensor.shape.map((size, axis) =>
    axis === along ? (size / count) * layers.length : size,
  )
  return { ...tensor, shape, byteLength: (tensor.byteLength / count) * layers.length }
}

/** A tensor of `like`'s shape in an element type. */
function sizeOf(
  like: TensorInfo,
  dtype: string,
): Pick<LaidOutTensor, 'dtype' | 'shape' | 'byteLength'> {
  const { shape } = like
  const isOther = dtype !== like.dtype && isTensorDtype(dtype)
  const byteLength = isOther ? elementsOf(shape) * bytesPerElement(dtype) : like.byteLength
  return { dtype, shape, byteLength }
}

/** What writing a laid-out model does: all of it is copied, and what is made is read and computed before. */
export function writeWork({ tensors, bytes }: GrownLayout): Work {
  const made = tensors.filter((tensor) => !isCopy(tensor) && tensor.source.kind !== 'constant')
  return { copied: bytes, converted: made.reduce((sum, { byteLength }) => sum + byteLength, 0) }
}
