import { setImmediate } from 'node:timers/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { elementsOf, placeInLayers } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import {
  buildDecoderLayer,
  layerInputs,
  LAYER_IO,
  type LayerInput,
  shapeKey,
  type LayerShape,
} from '../decoder/decoderLayer'
import { checkForwardPass } from '../decoder/ForwardPass'
import { HEAD_IO } from '../decoder/head'
import { KernelCache } from '../decoder/KernelCache'
import { LayerKernels } from '../decoder/LayerKernels'
import type { StreamedLayer } from '../decoder/layerStream'
import { within } from '../decoder/OutputHead'
import { mapEvents } from '../lib/reporting'
import type { CompileOptions, Feeds, Results, Runtime, Kernel, Tensor } from '../onnx/Runtime'
import { adamwScalars, SCALARS, STATE_PARTS } from '../training/adamw'
import { ActivationPool } from './ActivationPool'
import { FrozenLayers } from './FrozenLayers'
import {
  buildLayerBackward,
  buildUpdate,
  buildUpperPart,
  gradientBefore,
  gradientOf,
  LOSS_IO,
  SLOPE_IO,
  SQUARES,
  tableOf,
  UPDATE_IO,
  weightOf,
} from './graphs'
import { LayerStates, type LayerTensors } from './LayerStates'
import { LossHead, type PredictingRows } from './LossHead'
import {
  kernelOptions,
  planTraining,
  trainedInputs,
  type TrainingMode,
  type TrainingPlan,
} from './memory'
import type { LayerTrainingSettings, MeanLoss, Portion, StepReport } from './settings'
import { Units } from './Units'
import { Vocabulary } from './Vocabulary'

export interface LayerTrainerOptions {
  readonly settings: LayerTrainingSettings
  /** Tokens of a window, and windows of a step. */
  readonly context: number
  readonly batch: number
  /** Bound of host memory; without it a share of what the machine has. */
  readonly memoryBytes?: number | undefined
  readonly deviceMemoryBytes?: number | undefined
  /** For what does not fit into memory; its files are removed by {@link LayerTrainer.dispose}. */
  readonly scratch: string
  readonly signal: AbortSignal
  /** Instead of the mode that the plan would choose, and the whole plan changed; for measurements and tests. */
  readonly mode?: TrainingMode
  readonly plan?: (plan: TrainingPlan) => TrainingPlan
}

/** Elements of a weight that the optimiser treats at once on the host: a mebibyte, of which a core's cache holds some. */
export const UPDATE_BLOCK = 2 ** 18

/** PyTorch's `clip_grad_norm_` divides by the norm and this. */
const CLIP_EPSILON = 1e-6

/** About how long the parts of a step take beside a layer's forward pass. */
const UNITS = { forward: 1, frozen: 2, trained: 3 } as const

/** Windows that run through the layers together. */
interface MicroBatch {
  readonly windows: readonly Int32Array[]
  readonly targets: Int32Array
  readonly share: Float32Array
}

/**
 * Trains some layers of a checkpoint, everything else frozen: below the lowest of them only the forward pass runs and
 * nothing is kept; from it on either each layer's input is kept and the layer computed again in the backward pass, or
 * everything is, as the plan's mode says. All micro-batches pass a layer before the next layer is read, so that a step
 * reads the weights twice whatever its batch.
 *
 * An abort is noticed within a step, before anything has changed: what {@link save} writes afterwards is the state after
 * the last whole step.
 */
export class LayerTrainer {
  readonly #kernels: KernelCache
  readonly #layers: LayerKernels
  readonly #compile: CompileOptions
  readonly #activations: ActivationPool
  readonly #trained: ReadonlySet<number>
  readonly #first: number
  /** Layer and weight, as `weightOf`, of output matrices that are zero in the checkpoint. */
  readonly #faster = new Set<string>()
  #head: LossHead | null = null
  #steps = 0
  /** False once an update has failed half-way: what there is then is the state of no step. */
  #isWhole = true

  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly options: LayerTrainerOptions,
    readonly plan: TrainingPlan,
    private readonly states: LayerStates,
    private readonly frozen: FrozenLayers,
    private readonly vocabulary: Vocabulary,
  ) {
    const { layers } = options.settings
    this.#compile = kernelOptions(plan)
    this.#kernels = new KernelCache(runtime)
    this.#layers = new LayerKernels(checkpoint, runtime)
    this.#activations = new ActivationPool(runtime)
    this.#trained = new Set(layers)
    this.#first = Math.min(...layers)
  }

  /**
   * Reads what is to be trained, and what is to stay in memory.
   *
   * @throws AppError `unsupported_architecture`; `bad_request` for layers that there are not; `not_enough_memory`.
   */
  static async open(
    checkpoint: Checkpoint,
    runtime: Runtime,
    options: LayerTrainerOptions,
  ): Promise<LayerTrainer> {
    checkForwardPass(checkpoint)
    const { settings, scratch, signal } = options
    const layers = checkLayers(checkpoint, settings.layers)
    const planned = planTraining(checkpoint, {
      ...options,
      layers,
      parts: settings.parts,
      placement: runtime.placement,
    })
    const plan = options.plan?.(planned) ?? planned
    const states = await LayerStates.open(checkpoint, runtime, {
      layers,
      inputs: (layer) => layerInputs(checkpoint.architecture, checkpoint.config, layer),
      trained: (layer) => trainedInputs(checkpoint, settings.parts, layer),
      placeOf: plan.placeOf,
      folder: join(scratch, 'states'),
    })
    let frozen: FrozenLayers | null = null
    let vocabulary: Vocabulary | null = null
    try {
      frozen = await FrozenLayers.open(checkpoint, runtime, plan.pinnedLayers, signal)
      vocabulary = await Vocabulary.open(checkpoint, runtime, plan, signal)
      const own = { ...options, settings: { ...settings, layers } }
      const trainer = new LayerTrainer(checkpoint, runtime, own, plan, states, frozen, vocabulary)
      await trainer.#findZeros()
      return trainer
    } catch (error) {
      vocabulary?.dispose()
      frozen?.dispose()
      await states.dispose()
      throw error
    }
  }

  /** Numbers that are trained. */
  get parameters(): number {
    const inputs = this.options.settings.layers.flatMap((layer) => this.#trainedInputs(layer))
    return inputs.reduce((sum, { shape }) => sum + elementsOf(shape), 0)
  }

  /** Steps taken. */
  get steps(): number {
    return this.#steps
  }

  get mode(): TrainingMode {
    return this.plan.mode
  }

  /**
   * One optimiser step on windows `[context]`, `batch` of them.
   *
   * @throws AppError `numeric_failure` where the loss or the gradient is not finite: nothing has changed then.
   */
  async *step(windows: readonly Int32Array[]): AsyncGenerator<Portion, StepReport> {
    const micros = this.#microBatches(windows)
    const units = new Units(this.#stepUnits(micros))
    try {
      const pass = this.mode === 'keep' ? this.#keepingPass(micros) : this.#computingAgain(micros)
      const { loss, squares } = yield* units.count(pass)
      const gradientNorm = Math.sqrt(squares)
      const step = this.#steps + 1
      this.#refuseNonFinite({ step, loss, gradientNorm })
      // From here on nothing stops the step, not even whoever asks for its progress: half of the layers updated would be
      // no state at all.
      const { clip } = this.options.settings
      const factor = clip > 0 ? Math.min(1, clip / (gradientNorm + CLIP_EPSILON)) : 1
      this.#isWhole = false
      for (const layer of this.options.settings.layers) {
        await this.#update(layer, step, factor)
      }
      this.#isWhole = true
      this.#steps = step
      return { step, loss, gradientNorm }
    } finally {
      this.#activations.reset()
    }
  }

  /**
   * The loss on windows of any number, with the layers as they are now.
   *
   * @throws AppError `numeric_failure` where it is not finite.
   */
  async *evaluate(windows: readonly Int32Array[]): AsyncGenerator<Portion, MeanLoss> {
    const { numHiddenLayers } = this.checkpoint.config
    const groups = chunks(windows, this.plan.evaluatedWindows).map((group) =>
      this.#microBatches(group),
    )
    const all = groups.flat()
    const head = this.#lossHead()
    const units = new Units(
      all.length * numHiddenLayers +
        all.reduce((sum, { targets }) => sum + head.runsFor(targets.length, true), 0),
    )
    let [sum, predicted] = [0, 0]
    try {
      for (const micros of groups) {
        const scored = yield* units.count(this.#scored(micros))
        sum += scored.sum
        predicted += scored.predicted
      }
    } finally {
      this.#activations.reset()
    }
    const loss = sum / predicted
    if (!Number.isFinite(loss)) {
      throw this.#nonFinite(`The loss measured after step ${this.#steps}`, this.#steps, loss)
    }
    return { loss, predicted }
  }

  /**
   * Writes values, moments and the number of steps into a folder, a file for each layer.
   *
   * @throws AppError `bug` after an update that failed half-way.
   */
  async save(folder: string): Promise<void> {
    if (!this.#isWhole) throw new AppError('bug', 'The last step was not finished.')
    await this.states.save(folder, this.#steps)
  }

  /**
   * Goes on from what {@link save} wrote: bit for bit as if nothing had happened in between, on the CPU.
   *
   * @throws AppError `bad_checkpoint` when it is the state of another training.
   */
  async restore(folder: string): Promise<void> {
    this.#steps = await this.states.restore(folder)
    this.#isWhole = true
  }

  /** A trained tensor as it is now, by its name in the checkpoint; `null` for one that is not trained. */
  async values(tensor: string): Promise<Float32Array | null> {
    const place = placeInLayers(this.checkpoint.architecture, tensor)
    if (!place || !this.#trained.has(place.layer)) return null
    const isOwn = (input: LayerInput): boolean => input.tensor === place.suffix
    const own = this.#trainedInputs(place.layer).filter(isOwn)
    if (own.length === 0) return null
    const state = await this.states.get(place.layer, 'value')
    const values = new Float32Array(own.reduce((sum, { shape }) => sum + elementsOf(shape), 0))
    for (const { name, offset } of own) {
      values.set(await this.runtime.read(state[name]!), offset)
    }
    return values
  }

  async dispose(): Promise<void> {
    this.#activations.reset()
    this.frozen.dispose()
    this.vocabulary.dispose()
    await this.states.dispose()
    await this.#kernels.dispose()
    await this.#layers.dispose()
  }

  // ---- forward and backward -------------------------------------------------------------------------------------

  /** Each layer's input is kept, and the layer computed again in the backward pass. */
  async *#computingAgain(
    micros: readonly MicroBatch[],
  ): AsyncGenerator<number, { loss: number; squares: number }> {
    const first = this.#first
    const forward = this.#layersFrom(0)
    const backward = [...this.#layersFrom(first)].reverse()
    const isFrozen = (layer: number): boolean => !this.#trained.has(layer)
    const stream = this.frozen.visit([...forward, ...backward].filter(isFrozen), this.#signal)
    /** What layers from the first trained one on are given, by layer and micro-batch. */
    const inputs = new Map<number, Tensor[]>()
    try {
      let hidden = await this.#embed(micros)
      for (const layer of forward) {
        const before = hidden
        if (layer >= first) inputs.set(layer, before)
        const isKept = layer >= first
        hidden = yield* this.#forward(layer, before, { stream, isKept })
      }
      const head = yield* this.#slopesAtEnd(micros, hidden)
      for (const each of hidden) this.#activations.give(each)
      let slopes = head.slopes
      let squares = 0
      for (const layer of backward) {
        const result = yield* this.#backward(layer, inputs.get(layer)!, slopes, stream)
        slopes = result.slopes
        squares += result.squares
        inputs.delete(layer)
      }
      return { loss: head.loss, squares }
    } finally {
      await stream.return()
    }
  }

  /** From the lowest trained layer on everything is kept: one graph does the rest. */
  async *#keepingPass(
    micros: readonly MicroBatch[],
  ): AsyncGenerator<number, { loss: number; squares: number }> {
    const first = this.#first
    const stream = this.frozen.visit(this.#layersFrom(0).slice(0, first), this.#signal)
    let [loss, squares] = [0, 0]
    try {
      let hidden = await this.#embed(micros)
      for (let layer = 0; layer < first; layer += 1) {
        hidden = yield* this.#forward(layer, hidden, { stream, isKept: false })
      }
      for (const [index, micro] of micros.entries()) {
        const part = await this.#upperPart(micro, hidden[index]!, index > 0)
        loss += part.loss
        squares = part.squares
        this.#activations.give(hidden[index]!)
        yield this.#upperUnits
        await this.#pause()
      }
      return { loss, squares }
    } finally {
      await stream.return()
    }
  }

  async *#scored(
    micros: readonly MicroBatch[],
  ): AsyncGenerator<number, { sum: number; predicted: number }> {
    const frozen = this.#layersFrom(0).filter((layer) => !this.#trained.has(layer))
    const stream = this.frozen.visit(frozen, this.#signal)
    try {
      let hidden = await this.#embed(micros)
      for (const layer of this.#layersFrom(0)) {
        hidden = yield* this.#forward(layer, hidden, { stream, isKept: false })
      }
      const scored = yield* mapEvents(this.#lossHead().score(predicting(micros, hidden)), () => 1)
      for (const each of hidden) this.#activations.give(each)
      return scored
    } finally {
      await stream.return()
    }
  }

  async #embed(micros: readonly MicroBatch[]): Promise<Tensor[]> {
    const { hiddenSize } = this.checkpoint.config
    const { context } = this.options
    const states = await this.vocabulary.embed(micros.map(({ windows }) => windows))
    return await Promise.all(
      states.map((values, index) => {
        const dims = [micros[index]?.windows.length ?? 0, context, hiddenSize]
        return this.#activations.adopt(values, dims)
      }),
    )
  }

  /** A layer's outputs for each micro-batch; its inputs are given up unless they are kept. */
  async *#forward(
    layer: number,
    inputs: readonly Tensor[],
    { stream, isKept }: { readonly stream: LayerStream; readonly isKept: boolean },
  ): AsyncGenerator<number, Tensor[]> {
    const { architecture, config } = this.checkpoint
    const shape = this.#shapeOf(layer)
    const kernel = await this.#kernels.get(
      `forward/${shapeKey(shape)}`,
      () => buildDecoderLayer(config, architecture, shape),
      { ...this.#compile, resident: [LAYER_IO.output] },
    )
    const own = await this.#weightsOf(layer, stream)
    const outputs: Tensor[] = []
    try {
      for (const hidden of inputs) {
        const feeds = { ...own.weights, ...this.#tables(shape), [LAYER_IO.input]: hidden }
        const results = await this.#run(kernel, feeds, { [LAYER_IO.output]: hidden.dims })
        outputs.push(results.one(LAYER_IO.output))
        if (!isKept) this.#activations.give(hidden)
        yield UNITS.forward
        await this.#pause()
      }
    } finally {
      own.release()
    }
    return outputs
  }

  /** Takes the slopes at a layer's output to its input; a trained layer's gradients are left in its state. */
  async *#backward(
    layer: number,
    inputs: readonly Tensor[],
    slopes: readonly Tensor[],
    stream: LayerStream,
  ): AsyncGenerator<number, { slopes: Tensor[]; squares: number }> {
    const shape = this.#shapeOf(layer)
    const isTrained = this.#trained.has(layer)
    const trained = isTrained ? this.#trainedInputs(layer).map(({ name }) => name) : []
    const passesOn = layer > this.#first
    const own = await this.#weightsOf(layer, stream)
    const targets = isTrained ? this.states.targets(layer, 'gradient') : {}
    const below: Tensor[] = []
    let gradients: LayerTensors = {}
    let squares = 0
    try {
      for (const [index, hidden] of inputs.entries()) {
        const accumulates = isTrained && index > 0
        const kernel = await this.#backwardKernel(shape, { trained, passesOn, accumulates })
        const feeds = {
          ...own.weights,
          ...this.#tables(shape),
          ...(accumulates ? renamed(gradients, gradientBefore) : {}),
          [LAYER_IO.input]: hidden,
          [SLOPE_IO.above]: slopes[index]!,
        }
        const results = await this.#run(
          kernel,
          feeds,
          passesOn ? { [SLOPE_IO.below]: hidden.dims } : {},
          renamed(targets, gradientOf),
        )
        if (passesOn) below.push(results.one(SLOPE_IO.below))
        if (isTrained) {
          const next = Object.fromEntries(
            trained.map((name) => [name, results.one(gradientOf(name))]),
          )
          this.#releaseReplaced(gradients, next)
          gradients = next
          squares = results.floats(SQUARES)[0] ?? NaN
        }
        this.#activations.give(hidden)
        this.#activations.give(slopes[index]!)
        yield isTrained ? UNITS.trained : UNITS.frozen
        await this.#pause()
      }
      if (isTrained) await this.states.put(layer, 'gradient', gradients)
    } finally {
      own.release()
    }
    return { slopes: below, squares }
  }

  #backwardKernel(
    shape: LayerShape,
    options: { trained: readonly string[]; passesOn: boolean; accumulates: boolean },
  ): Promise<Kernel> {
    const { trained, passesOn, accumulates } = options
    const key = `backward/${shapeKey(shape)}/${trained.length}/${passesOn}/${accumulates}`
    const resident = [
      SLOPE_IO.below,
      ...(this.#statesAreOnDevice ? trained.map((name) => gradientOf(name)) : []),
    ].filter((name) => passesOn || name !== SLOPE_IO.below)
    return this.#kernels.get(key, () => buildLayerBackward(this.checkpoint, shape, options), {
      ...this.#compile,
      resident,
    })
  }

  async *#slopesAtEnd(
    micros: readonly MicroBatch[],
    hidden: readonly Tensor[],
  ): AsyncGenerator<number, { loss: number; slopes: Tensor[] }> {
    const rows = predicting(micros, hidden)
    const places = this.runtime.placement.keepsResults
      ? null
      : hidden.map(({ dims }) => this.#activations.take(dims))
    const result = yield* mapEvents(this.#lossHead().slopes(rows, places), () => 1)
    for (const slope of result.slopes) this.#activations.note(slope)
    return result
  }

  async #upperPart(
    { targets, share }: MicroBatch,
    hidden: Tensor,
    accumulates: boolean,
  ): Promise<{ loss: number; squares: number }> {
    const layers = this.#layersFrom(this.#first)
    const described = layers.map((layer) => ({
      layer,
      shape: this.#shapeOf(layer),
      trained: this.#trained.has(layer) ? this.#trainedInputs(layer).map(({ name }) => name) : [],
    }))
    const names = described.flatMap((each) =>
      each.trained.map((name) => weightOf(each.layer, name)),
    )
    const kernel = await this.#kernels.get(
      `upper/${accumulates}`,
      () => buildUpperPart(this.checkpoint, this.options.context, described, accumulates),
      {
        ...this.#compile,
        resident: this.#statesAreOnDevice ? names.map((name) => gradientOf(name)) : [],
      },
    )
    const feeds: Record<string, Tensor> = { [LAYER_IO.input]: hidden }
    const into: Record<string, Tensor> = {}
    for (const { layer, shape } of described) {
      for (const [name, table] of Object.entries(this.#tables(shape))) {
        feeds[tableOf(shape, name)] = table
      }
      const isTrained = this.#trained.has(layer)
      const weights = isTrained ? await this.states.get(layer, 'value') : this.frozen.weights(layer)
      Object.assign(
        feeds,
        renamed(weights ?? {}, (name) => weightOf(layer, name)),
      )
      if (!isTrained) continue
      const named = (name: string): string => weightOf(layer, name)
      Object.assign(
        into,
        renamed(this.states.targets(layer, 'gradient'), (name) => gradientOf(named(name))),
      )
      if (accumulates) {
        const before = await this.states.get(layer, 'gradient')
        Object.assign(
          feeds,
          renamed(before, (name) => gradientBefore(named(name))),
        )
      }
    }
    for await (const tile of this.vocabulary.tiles()) {
      const { local } = within(tile, targets)
      feeds[HEAD_IO.matrix] = tile.tensor
      feeds[HEAD_IO.target] = this.runtime.int64(local, [local.length, 1])
    }
    feeds[HEAD_IO.norm] = this.vocabulary.norm
    feeds[LOSS_IO.share] = this.runtime.float32(share, [share.length, 1])
    const results = await kernel.run(feeds, into)
    for (const { layer, trained } of described.filter((each) => each.trained.length > 0)) {
      const gradients = trained.map((name) => [
        name,
        results.one(gradientOf(weightOf(layer, name))),
      ])
      await this.states.put(layer, 'gradient', Object.fromEntries(gradients) as LayerTensors)
    }
    const nll = results.floats(LOSS_IO.nll)
    const loss = share.reduce(
      (sum, part, row) => (part === 0 ? sum : sum + part * (nll[row] ?? NaN)),
      0,
    )
    return { loss, squares: results.floats(SQUARES)[0] ?? NaN }
  }

  // ---- optimiser ------------------------------------------------------------------------------------------------

  async #update(layer: number, step: number, clip: number): Promise<void> {
    const { optimiser, schedule, outputRateFactor } = this.options.settings
    const parts = [...STATE_PARTS, 'gradient'] as const
    const tensors = await Promise.all(parts.map((part) => this.states.get(layer, part)))
    const next: Record<(typeof STATE_PARTS)[number], Record<string, Tensor>> = {
      value: {},
      first: {},
      second: {},
    }
    for (const { name, shape } of this.#trainedInputs(layer)) {
      const rate = this.#faster.has(weightOf(layer, name)) ? outputRateFactor : 1
      const settings = { ...optimiser, learningRate: optimiser.learningRate * rate }
      const scalars = adamwScalars(step, settings, schedule(step))
      const [value, first, second, gradient] = tensors.map((own) => own[name]!) as [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ]
      const state = { value, first, second }
      const constants = {
        ...Object.fromEntries(SCALARS.map((key, place) => [key, this.#scalar(scalars[place]!)])),
        [UPDATE_IO.clip]: this.#scalar(clip),
      }
      const updated = this.runtime.placement.isHost
        ? await this.#updateInBlocks(state, gradient, constants)
        : await this.#updateWhole(state, gradient, constants, shape.length)
      for (const part of STATE_PARTS) next[part][name] = updated[part]
    }
    for (const part of STATE_PARTS) {
      const all = part === 'value' ? { ...tensors[0], ...next.value } : next[part]
      await this.states.put(layer, part, all)
    }
  }

  async #updateInBlocks(
    state: OptimiserState,
    gradient: Tensor,
    constants: Feeds,
  ): Promise<OptimiserState> {
    const kernel = await this.#updateKernel(1)
    const size = elementsOf(gradient.dims)
    const view = (tensor: Tensor, start: number, end: number): Tensor =>
      this.runtime.float32((tensor.data as Float32Array).subarray(start, end), [end - start])
    for (let start = 0; start < size; start += UPDATE_BLOCK) {
      const end = Math.min(size, start + UPDATE_BLOCK)
      const own = mapParts((part) => view(state[part], start, end))
      const feeds = { ...own, [UPDATE_IO.gradient]: view(gradient, start, end), ...constants }
      await kernel.run(
        feeds,
        renamed(own, (part) => `${part}.next`),
      )
    }
    return state
  }

  async #updateWhole(
    state: OptimiserState,
    gradient: Tensor,
    constants: Feeds,
    rank: number,
  ): Promise<OptimiserState> {
    const kernel = await this.#updateKernel(rank)
    const feeds = { ...state, [UPDATE_IO.gradient]: gradient, ...constants }
    const local = Object.fromEntries(
      Object.entries(state).filter(([, { location }]) => location === 'cpu'),
    )
    const results = await kernel.run(
      feeds,
      renamed(local, (part) => `${part}.next`),
    )
    return mapParts((part) => results.one(`${part}.next`))
  }

  #updateKernel(rank: number): Promise<Kernel> {
    const resident = this.#statesAreOnDevice ? STATE_PARTS.map((part) => `${part}.next`) : []
    return this.#kernels.get(
      `update/${rank}`,
      () => buildUpdate(rank, this.options.settings.optimiser),
      { ...this.#compile, resident },
    )
  }

  // ---- parts ----------------------------------------------------------------------------------------------------

  get #signal(): AbortSignal {
    return this.options.signal
  }

  get #statesAreOnDevice(): boolean {
    return this.options.settings.layers.some((layer) => this.plan.placeOf(layer) === 'device')
  }

  #trainedInputs(layer: number): LayerInput[] {
    return trainedInputs(this.checkpoint, this.options.settings.parts, layer)
  }

  #layersFrom(first: number): number[] {
    const { numHiddenLayers } = this.checkpoint.config
    return Array.from({ length: numHiddenLayers - first }, (_, index) => first + index)
  }

  #shapeOf(layer: number): LayerShape {
    return this.#layers.shapeOf(layer, this.options.context)
  }

  #tables(shape: LayerShape): Readonly<Record<string, Tensor>> {
    return this.#layers.tables(shape, this.options.context)
  }

  #lossHead(): LossHead {
    this.#head ??= new LossHead(this.checkpoint, this.runtime, this.vocabulary, this.#kernels, {
      rowsAtOnce: this.plan.headRows,
      compile: this.#compile,
      signal: this.#signal,
    })
    return this.#head
  }

  /** A layer's weights where they can be fed: those of a trained one from its state, the others as the stream gives them. */
  async #weightsOf(
    layer: number,
    stream: LayerStream,
  ): Promise<{ readonly weights: LayerTensors; release(): void }> {
    if (!this.#trained.has(layer)) {
      const next = await stream.next()
      if (next.done || next.value.layer !== layer) {
        throw new AppError('bug', `Layer ${layer} was not read.`)
      }
      return { weights: next.value.weights, release: () => undefined }
    }
    const state = await this.states.get(layer, 'value')
    const uploaded: Record<string, Tensor> = {}
    for (const [name, tensor] of Object.entries(state)) {
      const isThere = !this.runtime.placement.keepsResults || tensor.location !== 'cpu'
      if (!isThere) {
        uploaded[name] = await this.runtime.upload(tensor.data as Float32Array, tensor.dims)
      }
    }
    return {
      weights: { ...state, ...uploaded },
      release: () => Object.values(uploaded).forEach((tensor) => this.runtime.release(tensor)),
    }
  }

  /** Runs a kernel whose results of the given shapes are activations. */
  async #run(
    kernel: Kernel,
    feeds: Feeds,
    shapes: Readonly<Record<string, readonly number[]>>,
    into: Feeds = {},
  ): Promise<Results> {
    const places = Object.fromEntries(
      Object.entries(shapes).flatMap(([name, dims]) =>
        this.runtime.placement.keepsResults ? [] : [[name, this.#activations.take(dims)]],
      ),
    )
    const results = await kernel.run(feeds, { ...into, ...places })
    for (const name of Object.keys(shapes)) this.#activations.note(results.one(name))
    return results
  }

  #releaseReplaced(before: LayerTensors, next: LayerTensors): void {
    for (const [name, tensor] of Object.entries(before)) {
      if (next[name] !== tensor) this.runtime.release(tensor)
    }
  }

  #scalar(value: number): Tensor {
    return this.runtime.float32(Float32Array.of(value), [1])
  }

  async #pause(): Promise<void> {
    await setImmediate()
    this.#signal.throwIfAborted()
  }

  /** Windows in groups that run through a layer together; each row but a window's last predicts the next one's token. */
  #microBatches(windows: readonly Int32Array[]): MicroBatch[] {
    const { context } = this.options
    const predicted = windows.length * (context - 1)
    return chunks(windows, this.plan.microBatch).map((own) => {
      const targets = new Int32Array(own.length * context).fill(-1)
      const share = new Float32Array(own.length * context)
      own.forEach((ids, window) => {
        targets.set(ids.subarray(1), window * context)
        share.fill(1 / predicted, window * context, (window + 1) * context - 1)
      })
      return { windows: own, targets, share }
    })
  }

  get #upperUnits(): number {
    return this.#layersFrom(this.#first).reduce(
      (sum, layer) => sum + (this.#trained.has(layer) ? UNITS.trained : UNITS.frozen),
      0,
    )
  }

  #stepUnits(micros: readonly MicroBatch[]): number {
    const passes =
      this.mode === 'keep'
        ? this.#first * UNITS.forward + this.#upperUnits
        : this.checkpoint.config.numHiddenLayers * UNITS.forward + this.#upperUnits
    const head =
      this.mode === 'keep'
        ? 0
        : micros.reduce((sum, { targets }) => sum + this.#lossHead().runsFor(targets.length), 0)
    return micros.length * passes + head
  }

  #refuseNonFinite({ step, loss, gradientNorm }: StepReport): void {
    if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return
    if (!Number.isFinite(loss)) throw this.#nonFinite(`The loss of step ${step}`, step, loss)
    throw this.#nonFinite(`The gradient of step ${step}`, step, gradientNorm)
  }

  #nonFinite(what: string, step: number, actual: number): AppError {
    return new AppError('numeric_failure', `${what} is not a finite number.`, {
      hint: 'Try a lower learning rate, or a longer warm-up.',
      context: {
        file: this.checkpoint.path,
        stage: `step ${step}`,
        device: this.runtime.device,
        actual: String(actual),
      },
    })
  }

  /** Looks which output matrices (or the norms behind them) are silent, as identity blocks have them. */
  async #findZeros(): Promise<void> {
    const { architecture, config } = this.checkpoint
    for (const layer of this.options.settings.layers) {
      const scales = architecture.residualScales(config, layer)
      const outputs = this.#trainedInputs(layer).filter(({ tensor }) => scales.includes(tensor))
      const state = await this.states.get(layer, 'value')
      for (const { name, tensor } of outputs) {
        const values = await this.runtime.read(state[name]!)
        const silent = architecture.silentValue(tensor)
        if (values.every((value) => value === silent)) this.#faster.add(weightOf(layer, name))
      }
    }
  }
}

type OptimiserState = Readonly<Record<(typeof STATE_PARTS)[number], Tensor>>
type LayerStream = AsyncGenerator<StreamedLayer, void>

function mapParts<T>(
  of: (part: (typeof STATE_PARTS)[number]) => T,
): Record<(typeof STATE_PARTS)[number], T> {
  return { value: of('value'), first: of('first'), second: of('second') }
}

function renamed(tensors: Feeds, name: (own: string) => string): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([own, tensor]) => [name(own), tensor]))
}

function predicting(micros: readonly MicroBatch[], hidden: readonly Tensor[]): PredictingRows[] {
  return micros.map(({ targets, share }, index) => ({ hidden: hidden[index]!, targets, share }))
}

function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  )
}

/** The layers in order. @throws AppError `bad_request` for one that there is not, or none at all. */
function checkLayers(checkpoint: Checkpoint, layers: readonly number[]): number[] {
  const { numHiddenLayers } = checkpoint.config
  const wrong = layers.find(
    (layer) => !Number.isInteger(layer) || layer < 0 || layer >= numHiddenLayers,
  )
  if (wrong === undefined && layers.length > 0) return [...new Set(layers)].sort((a, b) => a - b)
  const expected = `layers 0 to ${numHiddenLayers - 1}`
  const actual = wrong === undefined ? 'none' : String(wrong)
  throw new AppError('bad_request', `There is no layer ${actual} to train.`, {
    context: { file: checkpoint.path, field: 'train', expected, actual },
  })
}
