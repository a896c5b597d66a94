/** @file Everything that is measured of a model's layers and gaps, as a report. */
import { AppError } from '@shared/errors'
import { meanLoss, pairedDifference, type MeasuredLosses } from '@shared/difference'
import type { MeasuredLoss, PlacesReport } from '@shared/places'
import { contextSize, type ModelConfig } from '../architectures/config'
import type { StreamedModel } from '../fitting/StreamedModel'
import { mapEvents } from '../lib/reporting'
import { meanCandidate, copyCandidate, type Candidate } from './candidates'
import { measureEffects, type Effects } from './effects'
import { measureSlopes, type GapSlope } from './slopes'
import { StreamGeometry } from './StreamGeometry'
import { cosineUnits, neighbourCosines } from './weightLikeness'

export const PLACE_STEPS = ['weights', 'slopes', 'effects'] as const
export type PlaceStep = (typeof PLACE_STEPS)[number]

export interface PlaceProgress {
  readonly step: PlaceStep
  /** Share of it that is done. */
  readonly done: number
}

export interface PlaceMaterial {
  /** Disjoint shares of the text: for slopes, for the choice of steps, and for all losses that are told. */
  readonly fit: readonly Int32Array[]
  readonly search: readonly Int32Array[]
  readonly measured: readonly Int32Array[]
}

export interface PlaceOptions {
  /** The longest block that is run twice. */
  readonly blocks: number
  /** Beside copy and mean. */
  readonly candidates: readonly Candidate[]
  /** Bytes of hidden states that are kept to compare layers far apart. */
  readonly sampleBytes: number
  /** A folder for the directions of all gaps. */
  readonly directions: string
  readonly signal: AbortSignal
}

/** States further apart are not compared. */
const LONGEST_ANGLE = 8

/** Bytes of the directions of all gaps. */
export function directionBytes(config: ModelConfig): number {
  const { numHiddenLayers, hiddenSize, intermediateSize } = config
  const columns = contextSize(config) + intermediateSize
  return Float32Array.BYTES_PER_ELEMENT * numHiddenLayers * hiddenSize * columns
}

/** @throws AppError `numeric_failure`. */
export async function* measurePlaces(
  model: StreamedModel,
  material: PlaceMaterial,
  options: PlaceOptions,
): AsyncGenerator<PlaceProgress, PlacesReport> {
  const { checkpoint, runtime, context } = model
  const { config } = checkpoint
  const layers = config.numHiddenLayers
  const { hiddenSize } = config
  const cosines = yield* counted(
    'weights',
    neighbourCosines(checkpoint, options.signal),
    cosineUnits(checkpoint),
  )
  const stateBytes = Float32Array.BYTES_PER_ELEMENT * hiddenSize * (layers + 1)
  const geometry = new StreamGeometry(
    hiddenSize,
    Math.max(1, Math.floor(options.sampleBytes / stateBytes)),
  )
  const candidates = [copyCandidate, meanCandidate(checkpoint, runtime), ...options.candidates]
  const { directions } = options
  const slopes = yield* counted(
    'slopes',
    measureSlopes(model, material.fit, { geometry, candidates, folder: directions }),
    slopeUnits(model, material.fit, candidates),
  )
  const cka = yield* paused(geometry.neighbourCka(), model)
  const progress = effectProgress(layers)
  const effects = yield* mapEvents(
    measureEffects(model, material, { directions, blocks: options.blocks }),
    ({ layer, runs }): PlaceProgress => ({ step: 'effects', done: progress(layer, runs) }),
  )
  requireBase(model, effects.base)
  const tokensOf = (windows: readonly Int32Array[]): number => windows.length * context
  return {
    num_hidden_layers: layers,
    attention_windows: Array.from({ length: layers }, (_, layer) => config.windows[layer] ?? null),
    context,
    tokens: {
      calibration: tokensOf(material.fit),
      search: tokensOf(material.search),
      measured: tokensOf(material.measured),
    },
    base_loss: meanLoss(effects.base),
    ...scoresOf({ geometry, effects, slopes, cosines, cka }),
    angular: geometry.angular(Math.max(options.blocks, LONGEST_ANGLE)),
  }
}

interface Found {
  readonly geometry: StreamGeometry
  readonly effects: Effects
  readonly slopes: readonly GapSlope[]
  readonly cosines: readonly number[]
  readonly cka: readonly number[]
}

function scoresOf({
  geometry,
  effects,
  slopes,
  cosines,
  cka,
}: Found): Pick<PlacesReport, 'layers' | 'gaps' | 'repeats'> {
  const { base } = effects
  const against = (losses: MeasuredLosses): MeasuredLoss => {
    const loss = meanLoss(losses)
    return {
      loss: Number.isFinite(loss) ? loss : null,
      difference: pairedDifference(losses, base),
    }
  }
  const repeats = effects.repeats.map(({ first, end, losses }) => ({
    first,
    end,
    ...against(losses),
  }))
  return {
    layers: geometry.layers.map((found, layer) => {
      const { loss, difference } = repeats.find(
        ({ first, end }) => first === layer && end === layer + 1,
      )!
      const skip = against(effects.skips[layer]!)
      return { layer, ...found, skip, repeat: { loss, difference } }
    }),
    gaps: slopes.map((slope, gap) => {
      const { step, losses } = effects.fits[gap]!
      return {
        gap,
        ...slope,
        fit: { step, ...against(losses) },
        weight_cosine: cosines[gap] ?? null,
        cka: cka[gap] ?? null,
      }
    }),
    repeats,
  }
}

// ---- progress -----------------------------------------------------------------------------------------------------

async function* counted<R>(
  step: PlaceStep,
  inner: AsyncGenerator<number | void, R>,
  total: number,
): AsyncGenerator<PlaceProgress, R> {
  let done = 0
  const result = yield* mapEvents(inner, (units): PlaceProgress => {
    done += units ?? 1
    return { step, done: Math.min(1, done / total) }
  })
  yield { step, done: 1 }
  return result
}

async function* paused<R>(
  inner: Generator<void, R>,
  model: StreamedModel,
): AsyncGenerator<PlaceProgress, R> {
  for (;;) {
    const next = inner.next()
    if (next.done) return next.value
    yield { step: 'slopes', done: 1 }
    await model.pause()
  }
}

/** As the pass yields them: 1 for a layer's forward pass, 2 for its backward pass. */
function slopeUnits(
  model: StreamedModel,
  windows: readonly Int32Array[],
  candidates: readonly Candidate[],
): number {
  const layers = model.checkpoint.config.numHiddenLayers
  const micros = model.microBatches(windows).length
  const blocks = Array.from({ length: layers }, (_, gap) =>
    candidates.reduce((sum, candidate) => sum + candidate.countAt(gap), 0),
  ).reduce((sum, count) => sum + count, 0)
  return micros * (layers + 1 + 2 * (layers - 1) + 2 * layers + blocks) + 4 * layers
}

/** Runs of a layer's tails by which half of its share is passed; how many there will be is not known. */
const HALF_AFTER = 8

/** What lies above a layer is run some times for it, so that it takes a share as its distance from the end. */
function effectProgress(layers: number): (layer: number, runs: number) => number {
  const share = (layer: number): number => layers - layer
  const total = ((layers + 1) * layers) / 2
  let [current, before, ran] = [0, 0, 0]
  return (layer, runs) => {
    if (layer !== current) {
      before += share(current)
      current = layer
      ran = 0
    }
    ran += runs
    const within = ran / (ran + HALF_AFTER * share(layer))
    return Math.min(1, (before + within * share(layer)) / total)
  }
}

function requireBase({ checkpoint, runtime }: StreamedModel, base: MeasuredLosses): void {
  if (Number.isFinite(meanLoss(base))) return
  throw new AppError('numeric_failure', 'The loss on the text is not finite.', {
    hint: 'Look at the model’s weights: they may hold infinities, or be far too large.',
    context: { file: checkpoint.path, device: runtime.device },
  })
}
