/** @file Losses of the model with a layer left out, applied twice, or a fitted block in a gap. */
import type { MeasuredLosses } from '@shared/difference'
import { lossesOf, meanOf, readOutputs, tolerant, type WindowLosses } from '../fitting/fit'
import { chooseStep } from '../fitting/stepSize'
import type {
  Block,
  BlockOutputs,
  MicroBatch,
  StackEntry,
  StreamedModel,
} from '../fitting/StreamedModel'
import { mapEvents } from '../lib/reporting'
import type { Tensor } from '../onnx/Runtime'

export interface Effects {
  readonly base: MeasuredLosses
  /** By layer. */
  readonly skips: readonly MeasuredLosses[]
  readonly repeats: readonly {
    readonly first: number
    readonly end: number
    readonly losses: MeasuredLosses
  }[]
  /** By gap. */
  readonly fits: readonly { readonly step: number; readonly losses: MeasuredLosses }[]
}

/** Windows on their way: what the layer that is looked at is given. */
interface Prefix {
  readonly micros: readonly MicroBatch[]
  states: readonly Tensor[]
}

/**
 * Walks up the layers with the hidden states of both shares of the text, and runs what changes at each layer from there to
 * the end. Yields runs of a layer, weighed by nothing.
 *
 * @param directions Where the fitted blocks' directions are.
 * @param blocks The longest block that is applied twice.
 */
export async function* measureEffects(
  model: StreamedModel,
  {
    search,
    measured,
  }: { readonly search: readonly Int32Array[]; readonly measured: readonly Int32Array[] },
  { directions, blocks }: { readonly directions: string; readonly blocks: number },
): AsyncGenerator<{ readonly layer: number; readonly runs: number }, Effects> {
  const layers = model.checkpoint.config.numHiddenLayers
  const searched = await prefixOf(model, search)
  const judged = await prefixOf(model, measured)
  const skips: MeasuredLosses[] = []
  const repeats: Effects['repeats'][number][] = []
  const fits: Effects['fits'][number][] = []
  const at = (layer: number) => (runs: number) => ({ layer, runs })
  const base = asMeasured(yield* tail(model, judged, stack(0, layers), [], at(0)))
  const unfitted = meanOf(yield* tail(model, searched, stack(0, layers), [], at(0)))
  for (let layer = 0; layer < layers; layer += 1) {
    const tell = at(layer)
    skips.push(asMeasured(yield* tail(model, judged, stack(layer + 1, layers), [], tell)))
    yield* advance(model, searched, layer, tell)
    yield* advance(model, judged, layer, tell)
    for (let first = layer; first >= 0 && first > layer - blocks; first -= 1) {
      const losses = asMeasured(yield* tail(model, judged, stack(first, layers), [], tell))
      repeats.push({ first, end: layer + 1, losses })
    }
    const direction = await readOutputs(directions, layer)
    const above = [{ layer, block: 0 }, ...stack(layer + 1, layers)]
    const withStep = (step: number): Block[] => [{ layer, outputs: () => scaled(direction, step) }]
    const { step } = yield* chooseStep(async function* (each: number) {
      if (each === 0) return unfitted
      return meanOf(yield* tail(model, searched, above, withStep(each), tell))
    })
    const losses =
      step === 0 ? base : asMeasured(yield* tail(model, judged, above, withStep(step), tell))
    fits.push({ step, losses })
  }
  for (const { states } of [searched, judged]) for (const each of states) model.pool.give(each)
  return { base, skips, repeats: repeats.sort((a, b) => a.first - b.first || a.end - b.end), fits }
}

/** Layers from one up to another, without that. */
function stack(first: number, end: number): StackEntry[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, index) => ({
    layer: first + index,
    block: null,
  }))
}

async function prefixOf(model: StreamedModel, windows: readonly Int32Array[]): Promise<Prefix> {
  const micros = model.microBatches(windows)
  return { micros, states: await model.embed(micros) }
}

type Tell<E> = (runs: number) => E

async function* advance<E>(
  model: StreamedModel,
  prefix: Prefix,
  layer: number,
  tell: Tell<E>,
): AsyncGenerator<E, void> {
  const next = yield* mapEvents(model.forward(prefix.states, [{ layer, block: null }], []), tell)
  for (const each of prefix.states) model.pool.give(each)
  prefix.states = next
}

/** Losses at the end of what is run from the prefix on; infinite where something on the way is not finite. */
async function* tail<E>(
  model: StreamedModel,
  { micros, states }: Prefix,
  entries: readonly StackEntry[],
  blocks: readonly Block[],
  tell: Tell<E>,
): AsyncGenerator<E, WindowLosses> {
  return yield* mapEvents(
    tolerant(
      (async function* () {
        const final = yield* model.forward(states, entries, blocks)
        const losses = yield* lossesOf(model, micros, final)
        if (final !== states) for (const each of final) model.pool.give(each)
        return losses
      })(),
    ),
    tell,
  )
}

function scaled(direction: BlockOutputs, step: number): Promise<BlockOutputs> {
  const of = (values: Float32Array): Float32Array => values.map((value) => step * value)
  return Promise.resolve({ o_proj: of(direction.o_proj), down_proj: of(direction.down_proj) })
}

function asMeasured({ sums, tokensOfWindow }: WindowLosses): MeasuredLosses {
  return { windowNll: sums, windowTokens: sums.map(() => tokensOfWindow) }
}
