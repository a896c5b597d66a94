/** @file What measuring places does and holds, for progress and for the estimate. */
import type { PlaceSpec } from '@shared/jobs'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { windowOfLayer } from '../architectures/config'
import { calibrationContext, calibrationTokens, windowsOf } from '../fitting/calibration'
import { planStream, type StreamPlan } from '../fitting/memory'
import { directionOperations } from '../fitting/work'
import type { Work } from '../lib/work'
import type { Placement } from '../onnx/placement'
import { backwardOperations, layerOperations } from '../pretraining/work'
import type { PlaceStep } from './measurePlaces'

/** Hidden states that are kept to compare layers far apart; a bound on memory makes it less. */
const SAMPLE = { bytes: 256e6, ofBound: 1 / 16 } as const

/** Fitted steps that are tried in a gap, and losses that are told of it. */
const TRIED = 7

/** Blocks that run behind each layer beside the candidates: the layer again, and the mean of two. */
const OWN_CANDIDATES = 2

/** Bytes of hidden states that are kept to compare layers far apart. */
export function sampleBytes({ memoryBytes = Infinity }: Pick<PlaceSpec, 'memoryBytes'>): number {
  return Math.min(SAMPLE.bytes, SAMPLE.ofBound * memoryBytes)
}

/** How much is measured on, in windows of `context` tokens. */
export interface PlaceWindows {
  readonly context: number
  /** For slopes, for the choice of steps, and for all losses that are told. */
  readonly fit: number
  readonly search: number
  readonly measured: number
}

/** Where the text is long enough for as many as are asked for. */
export function windowsAtMost(
  spec: Pick<PlaceSpec, 'tokens' | 'context'>,
  { config }: Pick<Checkpoint, 'config'>,
): PlaceWindows {
  const context = calibrationContext(spec, config)
  const { fit, search, unseen } = windowsOf(
    Math.max(1, Math.round(calibrationTokens(spec, config) / context)),
  )
  return { context, fit, search, measured: unseen }
}

/** @throws AppError `not_enough_memory`. */
export function planPlaces(
  { memoryBytes, deviceMemoryBytes }: Pick<PlaceSpec, 'memoryBytes' | 'deviceMemoryBytes'>,
  checkpoint: Checkpoint,
  placement: Placement,
  { context, fit, search, measured }: PlaceWindows,
): StreamPlan {
  return planStream(checkpoint, {
    context,
    windows: fit + search + measured,
    lowest: 0,
    placement,
    ...(memoryBytes === undefined
      ? {}
      : { memoryBytes: memoryBytes - sampleBytes({ memoryBytes }) }),
    deviceMemoryBytes,
    what: 'measurement',
  })
}

/** What each step does. */
export function placeWork(
  { blocks, candidates }: Pick<PlaceSpec, 'blocks' | 'candidates'>,
  model: Checkpoint,
  { context, fit, search, measured }: PlaceWindows,
): Readonly<Record<PlaceStep, Work>> {
  const { config } = model
  const { hiddenSize, vocabSize } = config
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer) =>
    layerOperations(model, layer, context, windowOfLayer(config, layer)),
  )
  const forward = layers.reduce((sum, { linear, attention }) => sum + linear + attention, 0)
  const backward = layers.reduce(
    (sum, own) => sum + backwardOperations(own, { recomputes: true, trains: false }),
    0,
  )
  const head = 2 * hiddenSize * vocabSize
  const [fitted, searched, told] = [fit * context, search * context, measured * context]
  // What is tried at a layer runs through those above it: half of them on the mean.
  const upper = forward / 2
  const tails = layers.length * (TRIED * searched + (2 + blocks) * told)
  return {
    weights: { converted: model.summarize().bytes },
    slopes: {
      // The layers, the fitted blocks behind them, and the candidates'.
      layers: {
        forward: fitted * forward * (2 + OWN_CANDIDATES + candidates.length),
        backward: fitted * backward,
      },
      head: 2 * head * fitted,
      products: layers.length * directionOperations(config, fitted),
    },
    effects: {
      layers: { forward: (searched + told) * forward + tails * upper, backward: 0 },
      head: head * (searched + told + tails),
    },
  }
}
