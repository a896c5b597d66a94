import { setImmediate } from 'node:timers/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import {
  buildDecoderLayer,
  LAYER_IO,
  layerInputs,
  shapeKey,
  type LayerShape,
} from '../decoder/decoderLayer'
import { checkForwardPass, requireFinite } from '../decoder/ForwardPass'
import { KernelCache } from '../decoder/KernelCache'
import { LayerKernels } from '../decoder/LayerKernels'
import type { StreamedLayer } from '../decoder/layerStream'
import { mapEvents } from '../lib/reporting'
import type { CompileOptions, Feeds, Kernel, Runtime, Tensor } from '../onnx/Runtime'
import { ActivationPool } from '../pretraining/ActivationPool'
import { FrozenLayers } from '../pretraining/FrozenLayers'
import { buildLayerBackward, SLOPE_IO } from '../pretraining/graphs'
import { LossHead, type PredictingRows } from '../pretraining/LossHead'
import { kernelOptions } from '../pretraining/memory'
import { Vocabulary } from '../pretraining/Vocabulary'
import { outputOfInput, type OutputSlot } from './graphs'
import { KeptStates } from './KeptStates'
import type { StreamPlan } from './memory'

/**
 * A block's two output matrices, row-major: `o_proj` `[hiddenSize, heads · headDim]`, or a convolution's `[hiddenSize,
 * hiddenSize]`, and `down_proj` `[hiddenSize, intermediateSize]`.
 */
export type BlockOutputs = Readonly<Record<OutputSlot, Float32Array>>

/** A new block: a copy of a layer, after it, with output matrices of its own and no biases beside them. */
export interface Block {
  readonly layer: number
  /** `null`: zero, so that the block passes its input on. */
  readonly outputs: (() => Promise<BlockOutputs>) | null
}

/** What a model is run through, in order: a layer of the checkpoint, or one of the blocks after it. */
export interface StackEntry {
  readonly layer: number
  /** Index of the block; `null` for the layer itself. */
  readonly block: number | null
}

/** Windows that run through the layers together. */
export interface MicroBatch {
  readonly windows: readonly Int32Array[]
  /** `[windows · context]`; −1 where nothing is predicted. */
  readonly targets: Int32Array
  /** `[windows · context]`: 1 where something is. */
  readonly share: Float32Array
}

/** A block that the backward pass comes to. */
export interface VisitedBlock {
  readonly block: number
  /** Of the layer that it copies, by the names of `layerInputs`. */
  readonly layer: StreamedLayer
  readonly outputs: BlockOutputs | null
  /** `[windows, context, hiddenSize]` of each micro-batch: what the block is given, and ∂Σ nll / ∂(what it gives). */
  readonly inputs: readonly Tensor[]
  readonly slopes: readonly Tensor[]
}

/**
 * Is called for each block from the last one down, and gives the slopes at the block's input, in arrays of
 * {@link StreamedModel.pool}; `null` where they are those at its output, as of a block that passes its input on.
 */
export type VisitBlock = (visited: VisitedBlock) => AsyncGenerator<number, Tensor[] | null>

/** Hidden states of all micro-batches before and after an entry; they may be read until the call returns. */
export type WatchStates = (
  entry: StackEntry,
  given: readonly Tensor[],
  gives: readonly Tensor[],
) => void

export interface StreamOptions {
  /** Tokens of every window. */
  readonly context: number
  readonly plan: StreamPlan
  /** For what does not fit into memory. */
  readonly scratch: string
  readonly signal: AbortSignal
}

/**
 * A checkpoint that is run forward and backward with new blocks in it, one layer's weights in memory at a time or as many
 * as the plan has room for. Hidden states and slopes are arrays of the host. Everything yields its share of the work.
 */
export class StreamedModel {
  readonly kernels: KernelCache
  readonly pool: ActivationPool
  readonly compile: CompileOptions
  readonly #layers: LayerKernels
  readonly #head: LossHead

  private constructor(
    readonly checkpoint: Checkpoint,
    readonly runtime: Runtime,
    private readonly options: StreamOptions,
    private readonly frozen: FrozenLayers,
    private readonly vocabulary: Vocabulary,
  ) {
    this.compile = kernelOptions(options.plan.training)
    this.kernels = new KernelCache(runtime)
    this.pool = new ActivationPool(runtime)
    this.#layers = new LayerKernels(checkpoint, runtime)
    this.#head = new LossHead(checkpoint, runtime, vocabulary, this.kernels, {
      rowsAtOnce: options.plan.training.headRows,
      compile: this.compile,
      signal: options.signal,
    })
  }

  /** @throws AppError `unsupported_architecture`, `not_enough_memory`. */
  static async open(
    checkpoint: Checkpoint,
    runtime: Runtime,
    options: StreamOptions,
  ): Promise<StreamedModel> {
    checkForwardPass(checkpoint)
    const { plan, signal } = options
    const frozen = await FrozenLayers.open(checkpoint, runtime, plan.training.pinnedLayers, signal)
    try {
      const vocabulary = await Vocabulary.open(checkpoint, runtime, plan.training, signal)
      return new StreamedModel(checkpoint, runtime, options, frozen, vocabulary)
    } catch (error) {
      frozen.dispose()
      throw error
    }
  }

  get context(): number {
    return this.options.context
  }

  /** Layers with the blocks after each. @param blocks In the order of their layers. */
  stackOf(blocks: readonly Pick<Block, 'layer'>[]): StackEntry[] {
    const { numHiddenLayers } = this.checkpoint.config
    return Array.from({ length: numHiddenLayers }, (_, layer) => layer).flatMap((layer) => [
      { layer, block: null },
      ...blocks.flatMap((each, block) => (each.layer === layer ? [{ layer, block }] : [])),
    ])
  }

  microBatches(windows: readonly Int32Array[]): MicroBatch[] {
    const { context } = this
    const size = this.options.plan.training.microBatch
    return Array.from({ length: Math.ceil(windows.length / size) }, (_, index) => {
      const own = windows.slice(index * size, (index + 1) * size)
      const targets = new Int32Array(own.length * context).fill(-1)
      const share = new Float32Array(own.length * context)
      own.forEach((ids, window) => {
        targets.set(ids.subarray(1), window * context)
        share.fill(1, window * context, (window + 1) * context - 1)
      })
      return { windows: own, targets, share }
    })
  }

  /** Hidden states before the first layer. */
  async embed(micros: readonly MicroBatch[]): Promise<Tensor[]> {
    const { hiddenSize } = this.checkpoint.config
    const states = await this.vocabulary.embed(micros.map(({ windows }) => windows))
    return states.map((values, index) =>
      this.runtime.float32(values, [micros[index]!.windows.length, this.context, hiddenSize]),
    )
  }

  /** Arrays for states that are kept until the backward pass, within the plan's bound. */
  keptStates(): KeptStates {
    return new KeptStates(
      this.pool,
      this.options.plan.keptBytes,
      join(this.options.scratch, 'kept'),
    )
  }

  /**
   * Runs hidden states through a part of the stack; yields 1 after each run of a layer.
   *
   * @param hidden Stays as it is.
   * @param kept Takes what each entry is given, by its place among `entries`, but for blocks that pass it on.
   * @param watch Is shown what each entry is given and what it gives, but for those.
   * @returns States in arrays of {@link pool}, or `hidden` itself where nothing changes them.
   * @throws AppError `numeric_failure` naming the layer whose output is not finite.
   */
  async *forward(
    hidden: readonly Tensor[],
    entries: readonly StackEntry[],
    blocks: readonly Block[],
    kept: KeptStates | null = null,
    watch: WatchStates | null = null,
  ): AsyncGenerator<number, readonly Tensor[]> {
    const stream = this.#stream(entries)
    let states = hidden
    try {
      let layer: StreamedLayer | null = null
      for (const [place, entry] of entries.entries()) {
        layer = await this.#layerOf(stream, layer, entry)
        const outputs = await outputsOf(blocks, entry)
        if (entry.block !== null && outputs === null) continue
        const isFree = kept === null || (await kept.put(place, states))
        const own = await this.withOutputs(layer, outputs)
        const next: Tensor[] = []
        try {
          for (const each of states) {
            next.push(await this.runLayer(entry.layer, own.weights, each))
            yield 1
            await this.pause()
          }
        } finally {
          own.release()
        }
        watch?.(entry, states, next)
        if (isFree && states !== hidden) for (const each of states) this.pool.give(each)
        states = next
      }
      return states
    } finally {
      await stream.return()
    }
  }

  /** Runs a layer, or a block that copies it, once; its result is an array of {@link pool}. */
  async runLayer(layer: number, weights: Feeds, hidden: Tensor): Promise<Tensor> {
    const { architecture, config } = this.checkpoint
    const shape = this.shapeOf(layer)
    const kernel = await this.kernels.get(
      `forward/${shapeKey(shape)}`,
      () => buildDecoderLayer(config, architecture, shape),
      this.compile,
    )
    const feeds = { ...weights, ...this.tables(shape), [LAYER_IO.input]: hidden }
    const next = await this.run(kernel, feeds, LAYER_IO.output, hidden.dims)
    requireFinite(next.data as Float32Array, layer, this.checkpoint, this.runtime)
    return next
  }

  /** Σ nll of each window, in nats, and how many tokens are predicted in all; yields after each run of the head. */
  async *score(
    micros: readonly MicroBatch[],
    hidden: readonly Tensor[],
  ): AsyncGenerator<number, { readonly sums: number[]; readonly predicted: number }> {
    const rows = micros.flatMap((micro, index) => this.#windowsOf(micro, hidden[index]!))
    return yield* mapEvents(this.#head.score(rows), () => 1)
  }

  /** Σ nll, and its slope at each state; the slopes are arrays of {@link pool}. */
  async *slopesAtEnd(
    micros: readonly MicroBatch[],
    hidden: readonly Tensor[],
  ): AsyncGenerator<number, { readonly loss: number; readonly slopes: readonly Tensor[] }> {
    const rows = micros.map(({ targets, share }, index) => ({
      hidden: hidden[index]!,
      targets,
      share,
    }))
    if (!this.runtime.placement.keepsResults) {
      const places = hidden.map(({ dims }) => this.pool.take(dims))
      return yield* mapEvents(this.#head.slopes(rows, places), () => 1)
    }
    const { loss, slopes: there } = yield* mapEvents(this.#head.slopes(rows, null), () => 1)
    const slopes: Tensor[] = []
    for (const slope of there) {
      slopes.push(this.runtime.float32(await this.runtime.read(slope), slope.dims))
      this.runtime.release(slope)
    }
    return { loss, slopes }
  }

  /**
   * Takes the slopes at the stack's end down to the lowest block of `entries`, visiting every block on the way.
   *
   * @param final What the last entry gave; given up, as `slopes` are.
   * @param kept What {@link forward} kept of the same entries.
   */
  async *backward(
    {
      final,
      slopes: atEnd,
    }: { readonly final: readonly Tensor[]; readonly slopes: readonly Tensor[] },
    entries: readonly StackEntry[],
    blocks: readonly Block[],
    kept: KeptStates,
    visit: VisitBlock,
  ): AsyncGenerator<number, void> {
    const lowest = entries.findIndex(({ block }) => block !== null)
    const order = [...entries.entries()].slice(lowest).reverse()
    const stream = this.#stream(order.map(([, entry]) => entry))
    let above = final
    let slopes = atEnd
    const giveAll = (tensors: readonly Tensor[]): void => {
      for (const tensor of tensors) this.pool.give(tensor)
    }
    try {
      let layer: StreamedLayer | null = null
      for (const [place, entry] of order) {
        layer = await this.#layerOf(stream, layer, entry)
        const outputs = await outputsOf(blocks, entry)
        const passesOn = entry.block !== null && outputs === null
        const inputs = passesOn ? above : await kept.take(place)
        const below =
          entry.block === null
            ? yield* this.#backwardLayer(layer, inputs, slopes)
            : yield* visit({ block: entry.block, layer, outputs, inputs, slopes })
        if (below) {
          giveAll(slopes)
          slopes = below
        }
        if (!passesOn) giveAll(above)
        above = inputs
      }
      giveAll(slopes)
      giveAll(above)
    } finally {
      await stream.return()
    }
  }

  async *#backwardLayer(
    { layer, weights }: StreamedLayer,
    inputs: readonly Tensor[],
    slopes: readonly Tensor[],
  ): AsyncGenerator<number, Tensor[]> {
    const shape = this.shapeOf(layer)
    const kernel = await this.kernels.get(
      `backward/${shapeKey(shape)}`,
      () =>
        buildLayerBackward(this.checkpoint, shape, {
          trained: [],
          passesOn: true,
          accumulates: false,
        }),
      this.compile,
    )
    const below: Tensor[] = []
    for (const [index, hidden] of inputs.entries()) {
      const feeds = {
        ...weights,
        ...this.tables(shape),
        [LAYER_IO.input]: hidden,
        [SLOPE_IO.above]: slopes[index]!,
      }
      below.push(await this.run(kernel, feeds, SLOPE_IO.below, hidden.dims))
      yield 2
      await this.pause()
    }
    return below
  }

  /** A layer's weights with a block's output matrices in place of its own, and zeros for the biases beside them. */
  async withOutputs(
    { layer, weights }: StreamedLayer,
    outputs: BlockOutputs | null,
  ): Promise<{ readonly weights: Feeds; release(): void }> {
    if (outputs === null) return { weights, release: () => undefined }
    const { architecture, config } = this.checkpoint
    const own: Record<string, Tensor> = {}
    for (const { name, shape } of layerInputs(architecture, config, layer)) {
      const slot = outputOfInput(name)
      if (slot === null) continue
      const values = name.endsWith('.weight') ? outputs[slot] : new Float32Array(shape[0] ?? 0)
      own[name] = await this.runtime.upload(values, shape)
    }
    return {
      weights: { ...weights, ...own },
      release: () => Object.values(own).forEach((tensor) => this.runtime.release(tensor)),
    }
  }

  shapeOf(layer: number): LayerShape {
    return this.#layers.shapeOf(layer, this.context)
  }

  tables(shape: LayerShape): Readonly<Record<string, Tensor>> {
    return this.#layers.tables(shape, this.context)
  }

  /** Runs a kernel; one of its results goes into an array of {@link pool}, which is returned. */
  async run(
    kernel: Kernel,
    feeds: Feeds,
    output: string,
    dims: readonly number[],
  ): Promise<Tensor> {
    const into = this.pool.take(dims)
    const results = await kernel.run(feeds, { [output]: into })
    return results.one(output)
  }

  /** Lets a cancel through. */
  async pause(): Promise<void> {
    await setImmediate()
    this.options.signal.throwIfAborted()
  }

  async dispose(): Promise<void> {
    this.pool.reset()
    this.frozen.dispose()
    this.vocabulary.dispose()
    await this.kernels.dispose()
    await this.#layers.dispose()
  }

  #stream(entries: readonly StackEntry[]): AsyncGenerator<StreamedLayer, void> {
    const order = entries.map(({ layer }) => layer)
    const each = order.filter((layer, place) => layer !== order[place - 1])
    return this.frozen.visit(each, this.options.signal)
  }

  async #layerOf(
    stream: AsyncGenerator<StreamedLayer, void>,
    current: StreamedLayer | null,
    { layer }: StackEntry,
  ): Promise<StreamedLayer> {
    if (current?.layer === layer) return current
    const next = await stream.next()
    if (next.done || next.value.layer !== layer) {
      throw new AppError('bug', `Layer ${layer} was not read.`)
    }
    return next.value
  }

  /** Each window's rows by themselves: views. */
  #windowsOf({ windows, targets, share }: MicroBatch, hidden: Tensor): PredictingRows[] {
    const { context } = this
    const { hiddenSize } = this.checkpoint.config
    const values = hidden.data as Float32Array
    return windows.map((_, window) => {
      const [start, end] = [window * context, (window + 1) * context]
      const own = values.subarray(start * hiddenSize, end * hiddenSize)
      return {
        hidden: this.runtime.float32(own, [1, context, hiddenSize]),
        targets: targets.subarray(start, end),
        share: share.subarray(start, end),
      }
    })
  }
}

async function outputsOf(
  blocks: readonly Block[],
  { block }: StackEntry,
): Promise<BlockOutputs | null> {
  if (block === null) return null
  return (await blocks[block]?.outputs?.()) ?? null
}
