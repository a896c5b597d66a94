/** @file What a training holds where, from its shapes and the bounds that it is given. */
import { totalmem } from 'node:os'
import { AppError } from '@shared/errors'
import type { EstimateItem } from '@shared/estimate'
import type { TrainedParts } from '@shared/pretraining'
import { formatBytes } from '@shared/units'
import {
  formsOf,
  largestLayer,
  multipliedElements,
  type Architecture,
} from '../architectures/Architecture'
import { mlpSize, type ModelConfig } from '../architectures/config'
import { layerInputs, maskWidth, QUERY_CHUNK, type LayerInput } from '../decoder/decoderLayer'
import { arrayLimits } from '../lib/arrays'
import type { Placement } from '../onnx/placement'
import type { CompileOptions } from '../onnx/Runtime'
import { bytesIn, type StatePlace } from './LayerStates'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Node and the runtime's library before any weights are read. */
const BASELINE_BYTES = 130e6

/** Without a bound, the share of the machine's memory that is planned for: the same whatever else runs there. */
const MACHINE_SHARE = 0.6

/** Memory of a GPU that is used when nobody says how much there is. */
const DEFAULT_DEVICE_BYTES = 4e9

/** Work for one run of a layer: enough for the products to be fast, little enough to stop in between. */
const FLOPS_PER_RUN = 1.2e11

/** Logits of a tile of the output matrix, on the host and on a device. */
const HOST_LOGITS = 2 ** 23
const DEVICE_LOGITS = 2 ** 25

/** Where the model's end is in one graph with its layers: the logits and what is computed of them, and how many there may be. */
const LOGITS_KEPT = 3
const MOST_LOGITS_KEPT = 2 ** 25

const HELD = 'trained layers and their moments'

/** Forward, backward of a frozen layer and of a trained one: what kernels keep for themselves is there as often. */
const KERNELS_IN_TURN = 3
/** In bytes, what may be spent on that. */
const SMALL_KERNELS = 2e8

/** Elements of the output matrix that are in memory at once where it is not there as a whole. */
const MATRIX_ELEMENTS = 2 ** 26

/**
 * Floats that a token takes while a layer is run forward and backward, by what they grow with; measured on layers of
 * hidden size 128 to 2,048 (docs/benchmarks.md). Those of a convolution's taps, times the hidden size, are counted.
 */
const BACKWARD_FLOATS = { hidden: 14, intermediate: 9, scores: 2.5, taps: 3 } as const
/** The same of what stays of a layer until its backward pass, where nothing is computed twice. */
const KEPT_FLOATS = { hidden: 11, intermediate: 6, scores: 1.5, taps: 1 } as const

export interface TrainingModel {
  readonly architecture: Architecture
  readonly config: ModelConfig
}

export interface TrainingRequest {
  readonly layers: readonly number[]
  readonly parts: TrainedParts
  /** Tokens of a window, and windows of a step. */
  readonly context: number
  readonly batch: number
  /** Where the arrays are. */
  readonly placement: Placement
  /** Without it, `keep` where the bound allows. */
  readonly mode?: TrainingMode | undefined
  /** Bounds in bytes. */
  readonly memoryBytes?: number | undefined
  readonly deviceMemoryBytes?: number | undefined
  /** What the job is called where it does not fit; `training` without it. */
  readonly what?: string
  /** What else is held all the time: on the device, where there is one that keeps results. */
  readonly beside?: readonly EstimateItem[]
}

/** `keep`: what the forward pass computes from the lowest trained layer on stays; `recompute`: each layer's input only. */
export type TrainingMode = 'keep' | 'recompute'

export interface TrainingPlan {
  readonly mode: TrainingMode
  /** Whether each kernel keeps the memory of its operators: faster, at so much more memory as there are kernels. */
  readonly keepsMemory: boolean
  /** Windows that run through a layer at once. */
  readonly microBatch: number
  /** Windows whose hidden states an evaluation holds; more of them take another pass over the weights. */
  readonly evaluatedWindows: number
  /** Frozen layers whose weights stay in memory; the others are read anew in each pass. */
  readonly pinnedLayers: readonly number[]
  /** Whether embeddings and output matrix stay. */
  readonly pinsVocabulary: boolean
  /** Rows of the output matrix in one product, and rows of hidden states that it is applied to. */
  readonly vocabularyTile: number
  readonly headRows: number
  readonly placeOf: (layer: number) => StatePlace
  /** At the highest point, by what it is. */
  readonly hostBytes: readonly EstimateItem[]
  /** `null` on the host. */
  readonly deviceBytes: number | null
  /** Of files that hold states there is no memory for. */
  readonly scratchBytes: number
  /** Of a state that is kept: values and both moments of everything trained. */
  readonly stateBytes: number
  /** The smallest bound that the training keeps. */
  readonly leastBytes: number
}

/** How a training's kernels are compiled. */
export function kernelOptions({ keepsMemory }: Pick<TrainingPlan, 'keepsMemory'>): CompileOptions {
  return { keepsMemory, plansMemory: false, spins: false }
}

/** The weights of a layer that are trained. */
export function trainedInputs(
  { architecture, config }: TrainingModel,
  parts: TrainedParts,
  layer: number,
): LayerInput[] {
  const norms = new Set(
    architecture
      .layerTensors(config, layer)
      .filter(({ role }) => role === 'norm' || role === 'qk_norm')
      .map(({ suffix }) => suffix),
  )
  return layerInputs(architecture, config, layer).filter(
    ({ tensor }) => parts === 'all' || norms.has(tensor),
  )
}

/** @throws AppError `not_enough_memory` when even the smallest plan does not keep the bound. */
export function planTraining(model: TrainingModel, request: TrainingRequest): TrainingPlan {
  const { config } = model
  const { context, batch, placement } = request
  const trained = [...new Set(request.layers)].sort((a, b) => a - b)
  const first = trained[0] ?? config.numHiddenLayers
  const depth = config.numHiddenLayers
  const layerBytes = FLOAT * largestLayer(model.architecture, config)
  const trainedEach = trained.map((layer) => bytesIn(trainedInputs(model, request.parts, layer)))
  // Layers may differ; room is planned as if all were like the largest.
  const trainedBytes = Math.max(0, ...trainedEach)
  const layerState = layerBytes + 3 * trainedBytes
  const vocabularyBytes =
    FLOAT * config.vocabSize * config.hiddenSize * (config.tieWordEmbeddings ? 1 : 2)
  const keptInputs = (depth - first + 2) * batch * context * config.hiddenSize * FLOAT

  const bound = memoryBound(request.memoryBytes)
  const deviceBound = placement.keepsResults
    ? (request.deviceMemoryBytes ?? DEFAULT_DEVICE_BYTES)
    : null

  const perWindow = (floats: typeof BACKWARD_FLOATS | typeof KEPT_FLOATS): number =>
    FLOAT * context * floatsPerToken(config, context, floats)
  const wanted = Math.max(1, Math.min(batch, Math.floor(tokensAtOnce(model) / context)))
  const tile = vocabularyTile(config, placement, wanted * context)
  const fixed = (micro: number): EstimateItem[] => [
    { label: 'program and runtime', value: BASELINE_BYTES },
    { label: 'two layers being read', value: 2 * layerBytes },
    { label: "a layer's results", value: micro * perWindow(BACKWARD_FLOATS) },
    // The runtime hands each result over as a copy, beside the place that it has.
    { label: "copies of a layer's gradients", value: trainedBytes },
    { label: 'inputs of the layers', value: keptInputs },
    ...(request.beside ?? []),
    {
      label: 'part of the output matrix',
      value: FLOAT * (tile.rows * config.hiddenSize + 3 * tile.logits),
    },
  ]
  const inFile: EstimateItem = { label: 'a trained layer', value: layerState }

  // On a device that keeps results all of this is there, and the host holds what passes through.
  const space = deviceBound ?? bound
  let microBatch = wanted
  const least = totalOf([...fixed(1), inFile])
  while (microBatch > 1 && totalOf([...fixed(microBatch), inFile]) > space) {
    microBatch = Math.ceil(microBatch / 2)
  }
  if (request.memoryBytes !== undefined && least > request.memoryBytes && deviceBound === null) {
    throw new AppError(
      'not_enough_memory',
      `The ${request.what ?? 'training'} does not fit into ${formatBytes(request.memoryBytes)}.`,
      {
        hint: `The smallest bound that works is ${formatBytes(Math.ceil(least / 1e7) * 1e7)}; shorter windows need less.`,
        context: {
          field: 'memory',
          expected: `at least ${formatBytes(least)}`,
          actual: formatBytes(request.memoryBytes),
        },
      },
    )
  }
  const items = [...fixed(microBatch)]
  let left = space - totalOf(items)
  const take = (bytes: number): boolean => {
    if (bytes > left) return false
    left -= bytes
    return true
  }

  // States before weights: they are read and written in every step, weights are only read. Where not all of them have
  // room, there has to be some for the one that is at hand.
  const places = new Map<number, StatePlace>()
  let hostLeft = deviceBound === null ? 0 : bound - BASELINE_BYTES - 2 * layerBytes
  if (trained.length * layerState > left + hostLeft) left -= layerState
  for (const layer of trained) {
    if (take(layerState)) places.set(layer, deviceBound === null ? 'memory' : 'device')
    else if (hostLeft >= layerState) {
      hostLeft -= layerState
      places.set(layer, 'memory')
    } else places.set(layer, 'file')
  }
  const countOf = (place: StatePlace): number =>
    trained.filter((layer) => places.get(layer) === place).length
  const filed = countOf('file')
  if (filed > 0) items.push(inFile)
  const heldBytes = (place: StatePlace): number => countOf(place) * layerState
  const held = heldBytes(deviceBound === null ? 'memory' : 'device')
  if (held > 0) items.push({ label: HELD, value: held })

  const pinsVocabulary = take(vocabularyBytes)
  if (pinsVocabulary) items.push({ label: 'embeddings and output matrix', value: vocabularyBytes })
  const isTrained = new Set(trained)
  const frozen = Array.from({ length: depth }, (_, layer) => layer).filter(
    (layer) => !isTrained.has(layer),
  )
  // The upper ones first: they are read twice in a step.
  const pinned = [...frozen].reverse().filter(() => take(layerBytes))
  if (pinned.length > 0) items.push({ label: 'frozen layers', value: pinned.length * layerBytes })

  const logits = microBatch * context * config.vocabSize
  const keptBytes =
    microBatch * (depth - first) * perWindow(KEPT_FLOATS) +
    LOGITS_KEPT * FLOAT * logits +
    (trained.length - 1) * trainedBytes
  const isWhole =
    pinsVocabulary &&
    filed === 0 &&
    trained.length > 0 &&
    frozen.every((layer) => layer < first || pinned.includes(layer)) &&
    tile.rows === config.vocabSize &&
    logits <= MOST_LOGITS_KEPT
  const keeps = request.mode !== 'recompute' && isWhole && take(keptBytes)
  const mode: TrainingMode = keeps ? 'keep' : 'recompute'
  if (mode === 'keep') items.push({ label: 'results kept for the backward pass', value: keptBytes })

  // A single graph, or layers so small that it matters little how many times their results are held.
  const kept = (KERNELS_IN_TURN - 1) * microBatch * perWindow(BACKWARD_FLOATS)
  const isSmall = mode === 'recompute' && kept <= SMALL_KERNELS && take(kept)
  if (isSmall) items.push({ label: 'results of the other kernels', value: kept })

  return {
    mode,
    keepsMemory: mode === 'keep' || isSmall,
    microBatch,
    // No more than a step holds.
    evaluatedWindows: (depth - first + 1) * batch,
    pinnedLayers: pinned.reverse(),
    pinsVocabulary,
    vocabularyTile: tile.rows,
    headRows: tile.headRows,
    placeOf: (layer) => places.get(layer) ?? 'memory',
    hostBytes:
      deviceBound === null
        ? items
        : [
            { label: 'program and runtime', value: BASELINE_BYTES },
            { label: 'two layers being read', value: 2 * layerBytes },
            {
              label: 'embeddings',
              value: pinsVocabulary ? vocabularyBytes : FLOAT * MATRIX_ELEMENTS,
            },
            { label: HELD, value: heldBytes('memory') },
          ],
    // A device that keeps nothing has what one run takes.
    deviceBytes: placement.isHost
      ? null
      : totalOf(deviceBound === null ? fixed(microBatch) : items) - BASELINE_BYTES,
    scratchBytes: filed * layerState,
    stateBytes: 3 * trainedEach.reduce((sum, bytes) => sum + bytes, 0),
    leastBytes: least,
  }
}

/** Bytes of host memory that are planned for. @param asked The person's bound. */
export function memoryBound(asked: number | undefined): number {
  return Math.min(asked ?? machineBytes() * MACHINE_SHARE, arrayLimits().all)
}

function totalOf(items: readonly EstimateItem[]): number {
  return items.reduce((sum, { value }) => sum + value, 0)
}

/** What the machine has, or what a container may take of it. */
function machineBytes(): number {
  const { constrainedMemory: ask } = process as { constrainedMemory?: () => number }
  const limit = ask?.call(process) ?? 0
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

function floatsPerToken(
  config: ModelConfig,
  context: number,
  floats: Readonly<Record<'hidden' | 'intermediate' | 'scores' | 'taps', number>>,
): number {
  const { hiddenSize, numAttentionHeads } = config
  const { features, rows } = mlpSize(config)
  const { taps = 0, isConvolution = [] } = config.convolution ?? {}
  const widest = config.windows
    .filter((_, layer) => isConvolution[layer] !== true)
    .reduce<number>((most, window) => Math.max(most, maskWidth({ length: context, window })), 0)
  // The keys of a chunk of queries grow with its place, up to all of them.
  const keys = (widest + Math.min(widest, QUERY_CHUNK)) / 2
  return (
    (floats.hidden + floats.taps * taps) * hiddenSize +
    // What goes to the chosen experts and comes from them.
    2 * (rows - 1) * hiddenSize +
    floats.intermediate * features +
    floats.scores * numAttentionHeads * keys
  )
}

/** Tokens that run through a layer together. */
function tokensAtOnce(model: TrainingModel): number {
  const { architecture, config } = model
  const elements = Math.max(
    ...formsOf(architecture, config).map((layer) =>
      multipliedElements(architecture, config, layer),
    ),
  )
  return Math.min(4096, Math.max(512, Math.floor(FLOPS_PER_RUN / (2 * elements))))
}

function vocabularyTile(
  { vocabSize, hiddenSize }: ModelConfig,
  { isHost }: Placement,
  tokens: number,
): { rows: number; headRows: number; logits: number } {
  const most = Math.min(vocabSize, Math.max(1, Math.floor(MATRIX_ELEMENTS / hiddenSize)))
  // On a device all rows go at once, because they lie there; on the host some at a time.
  const mostLogits = isHost ? HOST_LOGITS : DEVICE_LOGITS
  const rows = isHost ? most : Math.min(most, Math.max(1, Math.floor(mostLogits / tokens)))
  const headRows = isHost ? Math.max(32, Math.floor(mostLogits / rows)) : tokens
  return {
    rows,
    headRows: Math.min(headRows, tokens),
    logits: rows * Math.min(headRows, tokens),
  }
}
