/** @file Scaling the routers of new layers on a text, so that they decide as sharply as the routers of the layers beside them. */
import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import { describeRouting, type RoutingReport } from '@shared/experts'
import type { JobEvent, JobStep } from '@shared/jobs'
import { fitsText } from '@shared/methods'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Batch } from '../decoder/batches'
import {
  inputLayer,
  LAYER_IO,
  layerParts,
  shapeKey,
  type LayerShape,
} from '../decoder/decoderLayer'
import { checkForwardPass, ForwardPass } from '../decoder/ForwardPass'
import { KernelCache } from '../decoder/KernelCache'
import { LayerKernels } from '../decoder/LayerKernels'
import { streamLayers, type StreamedLayer } from '../decoder/layerStream'
import { normOf } from '../decoder/norms'
import { scoringWork } from '../evaluation/work'
import { loadTokenizer } from '../evaluation/tokenizer'
import { calibrationTokens, readCalibration } from '../fitting/calibration'
import { mapEvents } from '../lib/reporting'
import { weightOf, type Work } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Graph } from '../onnx/graph'
import type { Kernel } from '../onnx/Runtime'
import { Runtime } from '../onnx/Runtime'
import type { StageStore } from '../stages/StageStore'
import type { Growth } from './grow'
import { streamGrown, type UnwrittenModel } from './grownPass'
import { isMatching } from './matchingExperts'

const STEP = 'routers'
const LABEL = 'scale the routers'

/** Factors that are tried for a router: beyond them it decides nothing, or by one expert alone. */
const FACTORS = { least: 1 / 16, most: 16 } as const

/** Halvings of the search: a factor within 0.01 %. */
const HALVINGS = 20

type Planned = Pick<Growth, 'spec' | 'checkpoint' | 'plan'>

function isAsked(growth: Planned): boolean {
  return growth.spec.calibration !== undefined && isMatching(growth)
}

/** Refuses, before anything is computed, what a text is given for and cannot be done. @throws AppError `bad_tokenizer`. */
export async function checkRouting(growth: Planned): Promise<void> {
  if (!isAsked(growth)) return
  checkForwardPass(growth.checkpoint)
  await loadTokenizer(growth.checkpoint.path)
}

/** Says of a text that nothing of the growth looks at it. */
export function* tellUnusedText(growth: Planned): Generator<JobEvent, void> {
  const { spec } = growth
  const isUsed = fitsText(spec.method.name) || spec.damp === 'auto' || isAsked(growth)
  if (spec.calibration === undefined || isUsed) return
  yield {
    type: 'log',
    level: 'info',
    text: 'Nothing of this growth looks at the calibration text: the model has no experts to match, and the damping is not chosen on it.',
  }
}

export function routingSteps(growth: Planned): JobStep[] {
  const work = routingWork(growth)
  return work ? [{ id: STEP, label: LABEL, weight: weightOf(work) }] : []
}

/** A pass through the base's layers and one through the grown model's; `null` where no router is scaled. */
export function routingWork(growth: Planned): Work | null {
  const { spec, checkpoint, plan } = growth
  if (!isAsked(growth) || spec.calibration === undefined) return null
  const { config } = checkpoint
  const layers = config.numHiddenLayers + plan.layers.length
  const tokens = calibrationTokens(spec.calibration, config) / 4
  const both = { ...config, numHiddenLayers: layers }
  const { products = 0, converted = 0 } = scoringWork(both, checkpoint.summarize(), tokens).layers
  return { products, converted: (converted * layers) / config.numHiddenLayers }
}

interface Routed {
  readonly growth: Growth
  readonly store: StageStore
  readonly model: UnwrittenModel
}

/**
 * The factor of each new router with which the mean entropy of its choice is the mean of its neighbours' in the base model;
 * `null` where no text is given. Layers are scaled one after another, each behind those that are scaled already.
 *
 * @throws AppError as `readCalibration`.
 */
export async function* scaleRouters({
  growth,
  store,
  model,
}: Routed): AsyncGenerator<JobEvent, RoutingReport | null> {
  const { spec, checkpoint, plan, signal } = growth
  if (!isAsked(growth) || spec.calibration === undefined) return null
  const step = (done: number): JobEvent => ({ type: 'step', id: STEP, done, total: 1 })
  yield step(0)
  const request = { spec: spec.calibration, checkpoint, rounds: 1, seed: spec.seed, store, signal }
  const calibration = yield* mapEvents(readCalibration(request), (share) => step(0.1 * share))
  const windows = calibration.round(0).search
  const { device } = await chooseDevice(spec.device)
  const runtime = await Runtime.open(device)
  const routers = new Routers(checkpoint, runtime, signal)
  const total = checkpoint.config.numHiddenLayers + plan.layers.length
  let done = 0
  const counted = (): JobEvent => step(0.1 + (0.9 * (done += 1)) / total)
  try {
    const base = new Map<number, Choice>()
    const own = streamLayers(checkpoint, runtime, signal)
    for await (const { place, choice } of routers.through(windows, own, () => null)) {
      if (choice) base.set(place, choice)
      yield counted()
    }
    const layers: RoutingReport['layers'][number][] = []
    const sidesOf = (place: number): readonly [Choice, Choice] | null => {
      const layer = plan.layers[place]
      const [a, b] = layer?.kind === 'computed' ? layer.sides.map((side) => base.get(side)) : []
      return a && b ? [a, b] : null
    }
    const goal = (place: number): number | null => {
      const sides = sidesOf(place)
      return sides && (sides[0].entropy + sides[1].entropy) / 2
    }
    const grown = streamGrown(model, runtime, signal)
    for await (const { place, choice, before, factor } of routers.through(windows, grown, goal)) {
      const sides = sidesOf(place)
      if (choice && before && sides) {
        const neighbours = { entropy: mean(sides, 'entropy'), busiest: mean(sides, 'busiest') }
        layers.push({ layer: place, factor, before, after: choice, neighbours })
      }
      yield counted()
    }
    const tokens = windows.reduce((sum, { length }) => sum + length, 0)
    const report = { text: basename(spec.calibration.text), tokens, layers }
    yield step(1)
    yield { type: 'log', level: 'info', text: describeRouting(report) }
    return report
  } finally {
    await routers.dispose()
    await runtime.dispose()
  }
}

/** How a router chooses: see {@link RoutingReport}. */
type Choice = RoutingReport['layers'][number]['after']

function mean(sides: readonly [Choice, Choice], of: keyof Choice): number {
  return (sides[0][of] + sides[1][of]) / 2
}

interface RoutedLayer {
  /** In the order of the stream. */
  readonly place: number
  /** `null` for a layer without experts. */
  readonly choice: Choice | null
  /** Of a router that was scaled. */
  readonly before: Choice | null
  readonly factor: number
}

/** Runs windows through layers and looks at what their routers say. */
class Routers {
  readonly #kernels: KernelCache
  readonly #layers: LayerKernels

  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal,
  ) {
    this.#kernels = new KernelCache(runtime)
    this.#layers = new LayerKernels(checkpoint, runtime)
  }

  async dispose(): Promise<void> {
    await this.#kernels.dispose()
    await this.#layers.dispose()
  }

  /** @param goal The entropy that the router of the layer at a place is to have; `null` to leave it. */
  async *through(
    windows: readonly Int32Array[],
    stream: AsyncIterable<StreamedLayer>,
    goal: (place: number) => number | null,
  ): AsyncGenerator<RoutedLayer, void> {
    const { checkpoint, runtime, signal } = this
    const pass = new ForwardPass(checkpoint, runtime, signal)
    const states = await pass.embed(pass.plan(windows).flat())
    await pass.dispose()
    let place = 0
    for await (const streamed of stream) {
      signal.throwIfAborted()
      const isSparse = checkpoint.config.experts?.isSparse[streamed.layer] === true
      const wanted = isSparse ? goal(place) : null
      let [before, choice]: [Choice | null, Choice | null] = [null, null]
      let factor = 1
      let layer = streamed
      if (wanted !== null) {
        const logits = await this.#run(streamed, states, false)
        before = this.#choiceOf(logits, 1)
        factor = factorFor((each) => this.#choiceOf(logits, each).entropy, wanted)
        layer = await this.#scaled(streamed, factor)
      }
      const logits = await this.#run(layer, states, true)
      if (isSparse) choice = this.#choiceOf(logits, 1)
      yield { place, choice, before, factor }
      place += 1
    }
  }

  /** The router's scores, `[tokens, experts]` of each batch; empty for a layer without. */
  async #run(
    { layer, weights }: StreamedLayer,
    states: { readonly batch: Batch; hidden: Float32Array }[],
    advances: boolean,
  ): Promise<Float32Array[]> {
    const { hiddenSize } = this.checkpoint.config
    const scores: Float32Array[] = []
    for (const state of states) {
      this.signal.throwIfAborted()
      const { length, sequences } = state.batch
      const shape = this.#layers.shapeOf(layer, length)
      const kernel = await this.#kernel(shape)
      const results = await kernel.run({
        ...weights,
        ...this.#layers.tables(shape, Math.max(...sequences.map((each) => each.length))),
        [LAYER_IO.input]: this.runtime.float32(state.hidden, [
          sequences.length,
          length,
          hiddenSize,
        ]),
      })
      if (this.#isSparse(shape)) scores.push(results.floats(SCORES).slice())
      if (advances) state.hidden = results.floats(LAYER_IO.output).slice()
    }
    return scores
  }

  #isSparse({ form = 0 }: LayerShape): boolean {
    return this.checkpoint.config.experts?.isSparse[form] === true
  }

  #kernel(shape: LayerShape): Promise<Kernel> {
    const { architecture, config } = this.checkpoint
    return this.#kernels.get(shapeKey(shape), () => {
      const g = new Graph()
      const inputs = inputLayer(g, config, architecture, shape)
      const { next, attention } = layerParts(g, config, architecture, shape, inputs)
      g.output(LAYER_IO.output, next)
      if (this.#isSparse(shape)) {
        const { beforeMlp, experts } = architecture.forward
        const weight = (name: string) => inputs.weights.get(`${name}.weight`)!
        const stream = g.add(g.reshape(inputs.hidden, ['rows', config.hiddenSize]), attention)
        const seen =
          beforeMlp === null
            ? stream
            : normOf(architecture)(g, stream, weight(beforeMlp), config.rmsNormEps)
        g.output(SCORES, g.linear(seen, weight(experts?.router ?? '')))
      }
      return g
    })
  }

  async #scaled({ layer, weights }: StreamedLayer, factor: number): Promise<StreamedLayer> {
    const name = `${this.checkpoint.architecture.forward.experts?.router ?? ''}.weight`
    const router = weights[name]
    if (!router) throw new AppError('bug', `Layer ${layer} has no router.`)
    const values = (await this.runtime.read(router)).map((value) => value * factor)
    const scaled = this.runtime.float32(values, router.dims)
    return { layer, weights: { ...weights, [name]: scaled } }
  }

  #choiceOf(scores: readonly Float32Array[], factor: number): Choice {
    const { count = 1, perToken = 1 } = this.checkpoint.config.experts ?? {}
    return choiceOf(scores, { count, perToken }, factor)
  }
}

const SCORES = 'scores'

/** Mean entropy of the softmax over all experts in nats, and the share of all choices that the busiest expert has. */
export function choiceOf(
  scores: readonly Float32Array[],
  { count, perToken }: { readonly count: number; readonly perToken: number },
  factor: number,
): Choice {
  const chosen = new Float64Array(count)
  let [entropy, tokens] = [0, 0]
  for (const batch of scores) {
    for (let start = 0; start < batch.length; start += count) {
      const row = Float64Array.from(batch.subarray(start, start + count), (value) => value * factor)
      const most = row.reduce((max, value) => Math.max(max, value), -Infinity)
      const powers = row.map((value) => Math.exp(value - most))
      const sum = powers.reduce((total, value) => total + value, 0)
      // H = log Σ exp(z) − Σ p z
      entropy += Math.log(sum) - powers.reduce((dot, p, e) => dot + (p / sum) * (row[e]! - most), 0)
      const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b)
      for (const expert of order.slice(0, perToken)) chosen[expert]! += 1
      tokens += 1
    }
  }
  const busiest = chosen.reduce((max, value) => Math.max(max, value), 0)
  return {
    entropy: entropy / Math.max(1, tokens),
    busiest: busiest / Math.max(1, tokens * perToken),
  }
}

/** The factor of scores with which their entropy, which falls as it grows, is as wanted; the nearest bound beyond them. */
export function factorFor(entropyOf: (factor: number) => number, wanted: number): number {
  let [low, high] = [Math.log(FACTORS.least), Math.log(FACTORS.most)]
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = (low + high) / 2
    if (entropyOf(Math.exp(middle)) > wanted) low = middle
    else high = middle
  }
  return Math.exp((low + high) / 2)
}
