/** @file What continuing a text holds in memory, and whether the model's weights stay there from token to token. */
import { freemem } from 'node:os'
import { AppError } from '@shared/errors'
import { formatBytes } from '@shared/units'
import { elementsOf, formsOf, largestLayer, type Architecture } from '../architectures/Architecture'
import { mlpSize, type ModelConfig } from '../architectures/config'
import { QUERY_CHUNK } from '../decoder/decoderLayer'
import { arrayLimits, requireArrays } from '../lib/arrays'
import type { Placement } from '../onnx/placement'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Node and the runtime's library before any weights are read. */
const BASELINE_BYTES = 130e6

/** Without a bound, the share of the free memory that is taken. */
const FREE_SHARE = 0.6

/** Memory of a GPU that is used when nobody says how much there is. */
const DEFAULT_DEVICE_BYTES = 4e9

/** Elements of the output matrix that are computed with at once. */
export const MATRIX_ELEMENTS = 2 ** 25

export interface DecodingRequest {
  readonly placement: Placement
  /** Tokens of the prompt and of what follows together, at most. */
  readonly positions: number
  /** Tokens whose successors are scored at once. */
  readonly scored: number
  /** Bounds in bytes: on the host's memory, and on a GPU's that weights may take. */
  readonly memoryBytes?: number | undefined
  readonly deviceMemoryBytes?: number | undefined
}

export interface DecodingPlan {
  /** Whether all layers and the output matrix stay in memory; else they are read again for each token. */
  readonly isResident: boolean
  /** On the host, with that. */
  readonly bytes: number
}

/** What a model asks for, from its shapes. */
export interface DecodingModel {
  readonly architecture: Architecture
  readonly config: ModelConfig
}

/**
 * Settles whether the weights stay.
 *
 * @throws AppError `not_enough_memory` when a bound, or this kind of process, is too small even for one layer at a time.
 */
export function planDecoding(model: DecodingModel, request: DecodingRequest): DecodingPlan {
  const { placement, memoryBytes, deviceMemoryBytes = DEFAULT_DEVICE_BYTES } = request
  const weights = residentBytes(model)
  const rest = BASELINE_BYTES + workingBytes(model, request)
  const streamed = rest + streamedBytes(model)
  requireArrays({ largest: largestArray(model, request), together: streamed })
  if (memoryBytes !== undefined && streamed > memoryBytes) {
    throw new AppError(
      'not_enough_memory',
      `Continuing a text with this model does not fit into ${formatBytes(memoryBytes)}.`,
      {
        hint: `Allow at least ${formatBytes(streamed)} (--memory), or give a shorter prompt.`,
        context: { expected: formatBytes(streamed), actual: formatBytes(memoryBytes) },
      },
    )
  }
  if (placement.keepsResults && weights <= deviceMemoryBytes) {
    return { isResident: true, bytes: streamed }
  }
  const bound = Math.min(memoryBytes ?? BASELINE_BYTES + FREE_SHARE * freemem(), arrayLimits().all)
  // What a device keeps is not also kept on the host.
  return !placement.keepsResults && rest + weights <= bound
    ? { isResident: true, bytes: rest + weights }
    : { isResident: false, bytes: streamed }
}

/** All layers and the output matrix. */
function residentBytes(model: DecodingModel): number {
  const { numHiddenLayers, vocabSize, hiddenSize } = model.config
  return layerBytes(model) * numHiddenLayers + FLOAT * vocabSize * hiddenSize
}

/** Two layers, and a part of the output matrix. */
function streamedBytes(model: DecodingModel): number {
  const { vocabSize, hiddenSize } = model.config
  return 2 * layerBytes(model) + FLOAT * Math.min(MATRIX_ELEMENTS, vocabSize * hiddenSize)
}

function layerBytes({ architecture, config }: DecodingModel): number {
  return FLOAT * largestLayer(architecture, config)
}

/** What layers keep of tokens, what one computes over a prompt, and logits. */
function workingBytes(
  { config }: DecodingModel,
  { positions, scored }: Pick<DecodingRequest, 'positions' | 'scored'>,
): number {
  const { numHiddenLayers, numKeyValueHeads, numAttentionHeads, headDim, hiddenSize } = config
  const { taps = 0, isConvolution = [] } = config.convolution ?? {}
  const convolving = isConvolution.filter(Boolean).length
  const [keysAndValues, products] = [2 * positions * numKeyValueHeads * headDim, taps * hiddenSize]
  // A layer's are there twice while it computes those of the next token.
  const kept = (numHiddenLayers - convolving + 1) * keysAndValues + (convolving + 1) * products
  const { features, rows } = mlpSize(config)
  const perToken = (2 + 2 * rows) * hiddenSize + 3 * features + 2 * numAttentionHeads * QUERY_CHUNK
  const logits = 2 * scored * Math.min(config.vocabSize, MATRIX_ELEMENTS / hiddenSize)
  return FLOAT * (kept + positions * perToken + logits)
}

function largestArray(
  { architecture, config }: DecodingModel,
  { positions }: DecodingRequest,
): number {
  const tensors = formsOf(architecture, config).flatMap((layer) =>
    architecture.layerTensors(config, layer).map(({ shape }) => elementsOf(shape)),
  )
  return FLOAT * Math.max(...tensors, positions * mlpSize(config).features)
}
