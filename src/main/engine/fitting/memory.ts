/** @file What a fit holds where, from its shapes and the bounds that it is given. */
import type { EstimateItem } from '@shared/estimate'
import { contextSize } from '../architectures/config'
import type { Placement } from '../onnx/placement'
import {
  memoryBound,
  planTraining,
  type TrainingModel,
  type TrainingPlan,
} from '../pretraining/memory'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Of what is left of the bound, the share that hidden states may take; weights that stay take the rest. */
const KEPT_SHARE = 0.5

export interface StreamRequest {
  readonly context: number
  /** Windows that run forward and backward together. */
  readonly windows: number
  /** The lowest layer after which a block stands. */
  readonly lowest: number
  readonly placement: Placement
  readonly memoryBytes?: number | undefined
  readonly deviceMemoryBytes?: number | undefined
  /** What the job is called where it does not fit: `fit`. */
  readonly what: string
}

export interface StreamPlan {
  /** How layers and the model's end are run; nothing is trained. */
  readonly training: TrainingPlan
  /** Bytes of hidden states that may be in memory at once; the others go to files. */
  readonly keptBytes: number
  /** Of those files. */
  readonly scratchBytes: number
  readonly hostBytes: readonly EstimateItem[]
  /** The smallest bound that is kept. */
  readonly leastBytes: number
}

/** @throws AppError `not_enough_memory` when even the smallest plan does not keep the bound. */
export function planStream(model: TrainingModel, request: StreamRequest): StreamPlan {
  const { config } = model
  const { context, windows, lowest, placement, what } = request
  const own = solverBytes(model)
  const stateBytes = windows * context * config.hiddenSize * FLOAT
  const states = Math.max(1, config.numHiddenLayers - lowest)
  // Beside the inputs that the plan of a training counts: slopes, and those that follow from them.
  const moving = 2 * stateBytes
  const beside: EstimateItem[] = [
    { label: 'slopes', value: moving },
    { label: "a block's statistics and solution", value: own },
  ]
  const common = {
    layers: [config.numHiddenLayers - 1],
    parts: 'norms' as const,
    context,
    batch: windows,
    placement,
    mode: 'recompute' as const,
    what,
    deviceMemoryBytes: request.deviceMemoryBytes,
  }
  const bound = memoryBound(request.memoryBytes)
  const least = planTraining(model, { ...common, memoryBytes: request.memoryBytes, beside })
  const kept = Math.min(states * stateBytes, Math.max(0, KEPT_SHARE * (bound - least.leastBytes)))
  const keptItem: EstimateItem = { label: 'hidden states for the backward pass', value: kept }
  const training = planTraining(model, {
    ...common,
    memoryBytes: request.memoryBytes,
    beside: [...beside, keptItem],
  })
  return {
    training,
    keptBytes: kept,
    scratchBytes: Math.max(0, states * stateBytes - kept),
    hostBytes: training.hostBytes,
    leastBytes: least.leastBytes,
  }
}

/** Sums of both output matrices, and what the larger system's solution takes beside them. */
function solverBytes({ config }: TrainingModel): number {
  const { hiddenSize, intermediateSize } = config
  const attention = contextSize(config)
  const sums = (width: number): number => width ** 2 + width * hiddenSize
  const widest = Math.max(attention, intermediateSize)
  return (
    FLOAT *
    (sums(attention) + sums(intermediateSize) + 2 * hiddenSize ** 2 + 6 * widest * hiddenSize)
  )
}
