/** @file What training layers takes: the work of a step, of an evaluation and of keeping a state. */
import { elementsOf, multipliedElements } from '../architectures/Architecture'
import { windowOfLayer } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { layerInputs, maskWidth, queryChunk } from '../decoder/decoderLayer'
import type { Work } from '../lib/work'
import { bytesIn } from './LayerStates'
import {
  trainedInputs,
  type TrainingModel,
  type TrainingPlan,
  type TrainingRequest,
} from './memory'

/** A checkpoint's shapes; nothing of it is read. */
export type PlannedModel = Pick<
  Checkpoint,
  'architecture' | 'config' | 'tensors' | 'layerTensorName'
>

/** A training whose memory is planned. */
export interface PlannedTraining extends Pick<
  TrainingRequest,
  'layers' | 'parts' | 'context' | 'batch'
> {
  readonly checkpoint: PlannedModel
  readonly plan: TrainingPlan
}

/** Floating-point operations of a token's products in a layer, forward. */
export interface LayerOperations {
  /** With the layer's matrices. */
  readonly linear: number
  /** Scores of the keys that a token's chunk of queries sees, and their mean of the values; or a convolution's products. */
  readonly attention: number
}

/** @param window As of `LayerShape`. */
export function layerOperations(
  { architecture, config }: TrainingModel,
  layer: number,
  length: number,
  window: number | null,
): LayerOperations {
  const { numAttentionHeads, headDim, hiddenSize, convolution } = config
  const linear = 2 * multipliedElements(architecture, config, layer)
  if (convolution?.isConvolution[layer] === true) {
    return { linear, attention: 2 * convolution.taps * hiddenSize }
  }
  const widest = maskWidth({ length, window })
  // The keys that a chunk sees grow with its place, up to all that the window lets it see.
  const keys = window === null ? (widest + queryChunk(length)) / 2 : widest
  return { linear, attention: 2 * 2 * numAttentionHeads * headDim * keys }
}

/** Operations of a layer's backward pass for a token: each product has two derivatives, a frozen matrix only one. */
export function backwardOperations(
  { linear, attention }: LayerOperations,
  { recomputes, trains }: { readonly recomputes: boolean; readonly trains: boolean },
): number {
  const again = recomputes ? 1 : 0
  return linear * (again + 1 + (trains ? 1 : 0)) + attention * (again + 2)
}

/** Operations of a token's product with the output matrix. */
function headOperations({ config: { hiddenSize, vocabSize } }: TrainingModel): number {
  return 2 * hiddenSize * vocabSize
}

/** One optimiser step. */
export function stepWork(training: PlannedTraining): Work {
  const { checkpoint, layers, parts, context, batch, plan } = training
  const { config } = checkpoint
  const tokens = context * batch
  const trained = new Set(layers)
  const first = Math.min(...trained)
  const recomputes = plan.mode === 'recompute'
  let [forward, backward] = [0, 0]
  for (let layer = 0; layer < config.numHiddenLayers; layer += 1) {
    const own = layerOperations(checkpoint, layer, context, windowOfLayer(config, layer))
    forward += tokens * (own.linear + own.attention)
    if (layer < first) continue
    // Norms alone are vectors, whose derivatives cost no product.
    const trains = parts === 'all' && trained.has(layer)
    backward += tokens * backwardOperations(own, { recomputes, trains })
  }
  // Without the whole matrix at hand its logits are computed once more for the slope.
  const isInTiles = plan.vocabularyTile < config.vocabSize
  const upper = frozenLayers(training).filter((layer) => layer > first)
  const states = stateBytes(training)
  return {
    layers: { forward, backward },
    head: tokens * (isInTiles ? 3 : 2) * headOperations(checkpoint),
    updated: parametersOf(training),
    converted:
      forwardBytes(training) +
      storedBytes(training, upper) +
      (plan.pinsVocabulary ? 0 : headBytes(checkpoint)),
    copied: states,
  }
}

/** The loss on some windows. */
export function evaluationWork(training: PlannedTraining, windows: number): Work {
  const { checkpoint, context, plan } = training
  const { config } = checkpoint
  const tokens = windows * context
  let forward = 0
  for (let layer = 0; layer < config.numHiddenLayers; layer += 1) {
    const own = layerOperations(checkpoint, layer, context, windowOfLayer(config, layer))
    forward += tokens * (own.linear + own.attention)
  }
  const passes = Math.ceil(windows / plan.evaluatedWindows)
  return {
    layers: { forward, backward: 0 },
    head: tokens * headOperations(checkpoint),
    converted: passes * (forwardBytes(training) + filedBytes(training).values),
  }
}

/** Writing a state that a later run goes on from. */
export function saveWork({ plan }: PlannedTraining): Work {
  return { copied: plan.stateBytes }
}

/** Numbers that are trained. */
export function parametersOf({ checkpoint, layers, parts }: PlannedTraining): number {
  return layers
    .flatMap((layer) => trainedInputs(checkpoint, parts, layer))
    .reduce((sum, { shape }) => sum + elementsOf(shape), 0)
}

/** What is read of the files in a pass through all layers. */
function forwardBytes(training: PlannedTraining): number {
  const { checkpoint, plan } = training
  const { embedTokens } = checkpoint.architecture
  return (
    storedBytes(training, frozenLayers(training)) +
    (plan.pinsVocabulary
      ? 0
      : (checkpoint.tensors.get(embedTokens)?.byteLength ?? 0) + headBytes(checkpoint))
  )
}

function headBytes({ tensors, architecture }: PlannedModel): number {
  const matrix = tensors.get(architecture.lmHead) ?? tensors.get(architecture.embedTokens)
  return matrix?.byteLength ?? 0
}

/** Frozen layers that are read in each pass. */
function frozenLayers({ checkpoint, layers, plan }: PlannedTraining): number[] {
  const held = new Set([...layers, ...plan.pinnedLayers])
  const all = Array.from({ length: checkpoint.config.numHiddenLayers }, (_, layer) => layer)
  return all.filter((layer) => !held.has(layer))
}

/** Of some layers as they lie in the files. */
function storedBytes({ checkpoint }: PlannedTraining, layers: readonly number[]): number {
  return layers.reduce(
    (sum, layer) =>
      sum +
      checkpoint.architecture.layerTensors(checkpoint.config, layer).reduce((own, { suffix }) => {
        const tensor = checkpoint.tensors.get(checkpoint.layerTensorName(layer, suffix))
        return own + (tensor?.byteLength ?? 0)
      }, 0),
    0,
  )
}

/** Bytes of the layers whose states are in files: their values, and what is trained of them. */
function filedBytes({ checkpoint, layers, parts, plan }: PlannedTraining): {
  readonly values: number
  readonly trained: number
} {
  const { architecture, config } = checkpoint
  const filed = layers.filter((layer) => plan.placeOf(layer) === 'file')
  return {
    values: bytesIn(filed.flatMap((layer) => layerInputs(architecture, config, layer))),
    trained: bytesIn(filed.flatMap((layer) => trainedInputs(checkpoint, parts, layer))),
  }
}

/**
 * Bytes of states that go from their files and back in a step: values are read forward, backward and for the update,
 * which reads and writes all; gradients are written and read. Counted as copies, which read a byte and write it.
 */
function stateBytes(training: PlannedTraining): number {
  const { values, trained } = filedBytes(training)
  const [read, written] = [3 * values + 3 * trained, values + 3 * trained]
  return (read + written) / 2
}
