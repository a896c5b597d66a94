/** @file How the matrices of a grown model's computed layers come about, by what its method asks for. */
import type { RoutingReport } from '@shared/experts'
import { isPredicted, type Fill } from '@shared/methods/define'
import type { Alignment } from '../../alignment/Alignment'
import type { ExpertChains } from '../../alignment/ExpertChains'
import type { Checkpoint } from '../../checkpoint/Checkpoint'
import type { MatrixFiller, PredictedType } from '../../lesa/learned'
import type { Filler } from '../grownTensors'
import { alignedFiller } from './aligned'
import { expertFiller } from './experts'
import { byElement, wholeMatrix } from './neighbours'
import { noiseLike } from './noise'
import { predictedMatrices } from './predicted'
import { transportedFiller, type TransportedFill } from './transported'

export interface FillContext {
  readonly checkpoint: Checkpoint
  /** What the learned stages left; empty where nothing is predicted. */
  readonly predicted: readonly PredictedType[]
  readonly seed: number
  /** Where layers were matched. */
  readonly alignment?: Alignment | null
  /** Where experts were matched. */
  readonly experts?: ExpertChains | null
  /** Of routers that were scaled on a text. */
  readonly routing?: RoutingReport | null
  /** Where layers were transported. */
  readonly transport?: TransportedFill | null
}

/** What gives the new layers' matrices while the checkpoint is written. */
export function fillerOf(fill: Fill, context: FillContext): Filler {
  const { experts, checkpoint, routing } = context
  const others = slotFiller(fill, context)
  if (!experts) return others
  const factors = (routing?.layers ?? []).map(({ layer, factor }) => [layer, factor] as const)
  return expertFiller({ fill, checkpoint, experts, routerFactors: new Map(factors), others })
}

function slotFiller(fill: Fill, context: FillContext): Filler {
  const { checkpoint, predicted, seed, alignment, transport } = context
  if (transport) return transportedFiller(checkpoint, transport)
  if (alignment) return alignedFiller(fill, { ...context, alignment })
  // What wraps a prediction was applied when it was made.
  if (isPredicted(fill)) return predictedMatrices(predicted)
  if (fill.kind === 'elements') {
    return (matrix) => byElement(checkpoint, matrix, fill.compute)
  }
  return async function* (matrix) {
    const fillMatrix = wrapped(fill, () => wholeMatrix(checkpoint, matrix, fill), seed)
    yield await fillMatrix(matrix.type, { layer: matrix.layer, chain: matrix.expert ?? 0 })
  }
}

/** Applies what a method wraps around the innermost way, `given`. */
export function wrapped(fill: Fill, given: MatrixFiller, seed: number): MatrixFiller {
  return fill.kind === 'noise' ? noiseLike(wrapped(fill.like, given, seed), seed) : given
}
