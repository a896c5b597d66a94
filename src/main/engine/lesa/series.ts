/** @file Which matrices are decomposed together and share a predictor: those of a slot, of the layers of one type. */
import { AppError } from '@shared/errors'
import { canHoldOut, nameLayers } from '@shared/holdout'
import type { ExpansionPlan, PlannedLayer } from '@shared/plan'
import { layerTypesOf, typeWordsOf } from '../architectures/layerTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'

/** Layers that a sample needs: a target between two neighbours. */
const LEAST_LAYERS = 3

/** The matrices of a weight type. */
export interface Series {
  /** `q_proj`; where layers are of several types, `q_proj.full`. Results, stages and options go by it. */
  readonly id: string
  /** As of `Slot`. */
  readonly slot: string
  /** Base layers of one type that have the slot, in order. */
  readonly layers: readonly number[]
  /** Experts that each of the layers has; `null` where the whole layer has one matrix. */
  readonly experts: number | null
  /**
   * Whether matrices are taken with rows and columns exchanged. Those of experts are rows of neurons, whose width is that of
   * the residual stream: only what is the same in all experts can be learned from all of them, and neurons are not.
   */
  readonly isTransposed: boolean
}

type Model = Pick<Checkpoint, 'architecture' | 'config' | 'slotsOf' | 'weightTypes'>

/** All layers that have a slot as one series, whatever their types. */
export function wholeSeries(model: Model, slot: string): Series {
  const all = Array.from({ length: model.config.numHiddenLayers }, (_, layer) => layer)
  return seriesWith(model, slot, slot, all)
}

function seriesWith(model: Model, id: string, slot: string, layers: readonly number[]): Series {
  const own = layers.filter((layer) => model.slotsOf(layer).some((each) => each.id === slot))
  const found = model.slotsOf(own[0] ?? 0).filter((each) => each.id === slot)
  const isExpert = found.some(({ expert }) => expert !== null)
  return {
    id,
    slot,
    layers: own,
    experts: isExpert ? found.length : null,
    isTransposed: isExpert && model.architecture.residualWriters.includes(slot),
  }
}

/**
 * The series that a plan's new layers need: for every slot those of each type of layer that there are new ones of. A type
 * with too few layers to learn from learns from all layers that have the slot.
 */
export function seriesOf(
  model: Model,
  { layers }: Pick<ExpansionPlan, 'layers'>,
): readonly Series[] {
  const types = layerTypesOf(model.config)
  const words = typeWordsOf(model.config)
  const computed = layers.filter((layer) => layer.kind === 'computed')
  const isMixed = computed.some(({ source, sides }) =>
    sides.some((side) => types[side] !== types[source]),
  )
  const wanted = [...new Set(computed.map(({ source }) => types[source]))]
  return model.weightTypes.flatMap((slot) => {
    const whole = wholeSeries(model, slot)
    const ofTypes = wanted
      .map((type) => whole.layers.filter((layer) => types[layer] === type))
      .filter((own) => own.length > 0)
    if (ofTypes.length === 0) return []
    const isOne = ofTypes.some(({ length }) => length === whole.layers.length)
    const isShort = ofTypes.some(({ length }) => length < LEAST_LAYERS)
    if (isOne || isShort || isMixed) return [whole]
    return ofTypes.map((own) => seriesWith(model, `${slot}.${words[own[0] ?? 0]}`, slot, own))
  })
}

/**
 * Refuses series with too few layers to learn from, before anything is computed.
 *
 * @throws AppError `bad_request`.
 */
export function requireLearnable(
  model: Model & Pick<Checkpoint, 'path'>,
  plan: Pick<ExpansionPlan, 'layers'>,
): void {
  const short = seriesOf(model, plan).find(({ layers }) => layers.length < LEAST_LAYERS)
  if (short === undefined) return
  const { slot, layers } = short
  throw new AppError(
    'bad_request',
    `There are too few layers to learn ${slot} from: only ${nameLayers(layers)} ${layers.length === 1 ? 'has' : 'have'} it.`,
    {
      hint: `A predictor needs ${LEAST_LAYERS} layers. Put new layers between others, or take a method that copies.`,
      context: {
        file: model.path,
        field: 'gaps',
        expected: `${LEAST_LAYERS} layers with ${slot}`,
        actual: String(layers.length),
      },
    },
  )
}

/** @throws AppError `bug` where the plan needs no such series. */
export function seriesNamed(model: Model, plan: Pick<ExpansionPlan, 'layers'>, id: string): Series {
  const all = seriesOf(model, plan)
  const found = all.find((series) => series.id === id)
  if (found) return found
  throw new AppError('bug', `The plan needs no weight type "${id}".`, {
    context: { expected: all.map((series) => series.id).join(', '), actual: id },
  })
}

export type ComputedLayer = Extract<PlannedLayer, { kind: 'computed' }>

/** The layers to be computed with their indices in the grown model, neighbours before those that need them. */
export function computedLayers(
  plan: Pick<ExpansionPlan, 'layers'>,
): (ComputedLayer & { readonly index: number })[] {
  return plan.layers
    .flatMap((layer, index) => (layer.kind === 'computed' ? [{ ...layer, index }] : []))
    .sort((a, b) => a.depth - b.depth || a.index - b.index)
}

/** Those of {@link computedLayers} that take a matrix of the series. */
export function computedIn(
  { layers }: Series,
  plan: Pick<ExpansionPlan, 'layers'>,
): ReturnType<typeof computedLayers> {
  return computedLayers(plan).filter(({ source }) => layers.includes(source))
}

/** Places in the series of the layers that are held out, as far as it has them and can do without. */
export function heldOutIn({ layers }: Series, holdout: readonly number[]): number[] {
  return holdout
    .map((layer) => layers.indexOf(layer))
    .filter((place) => place !== -1 && canHoldOut(place, layers.length))
}
