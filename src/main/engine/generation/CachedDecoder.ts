import { setImmediate } from 'node:timers/promises'
import { windowOfLayer } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { keptShapes, LAYER_IO, shapeKey, type LayerShape } from '../decoder/decoderLayer'
import { scaleEmbeddings } from '../decoder/embedding'
import { checkForwardPass, requireFinite } from '../decoder/ForwardPass'
import { buildLogitsHead, HEAD_IO } from '../decoder/head'
import { KernelCache } from '../decoder/KernelCache'
import { LayerKernels } from '../decoder/LayerKernels'
import type { StreamedLayer } from '../decoder/layerStream'
import { ropeClass } from '../decoder/rope'
import { layerTables } from '../decoder/tables'
import type { Results, Runtime, Tensor } from '../onnx/Runtime'
import { buildFirstLayer, buildNextLayer, nextMask, pastOf } from './cachedLayer'
import { MATRIX_ELEMENTS } from './memory'
import { residentWeights, streamedWeights, type Weights } from './weights'

export interface DecoderOptions {
  /** Whether all weights stay in memory after the first pass; else they are read again for each token. */
  readonly isResident: boolean
  /** Elements of the output matrix that are computed with at once. */
  readonly matrixElements?: number
}

/** What a layer keeps, by the names of `keptShapes`, where the device keeps it if it does. */
type LayerCache = Readonly<Record<string, Tensor>>

/** Logits of some rows, for the tokens `start … end − 1`: `[rows, end − start]`. */
export interface LogitsPart {
  readonly logits: Float32Array
  readonly start: number
  readonly end: number
}

/**
 * A model over one sequence that grows: what its layers need of the tokens before is kept, so that one more token costs
 * one row of every product. All methods yield between runs, so that others are heard, and throw the signal's reason.
 */
export class CachedDecoder {
  readonly #kernels: KernelCache
  /** For their tables. */
  readonly #shapes: LayerKernels
  readonly #weights: Weights
  #cache: LayerCache[] = []
  /** The tokens of which it is kept, and the class of their angles. */
  #ids: Int32Array = new Int32Array(0)
  #class = ''
  #norm: Tensor | null = null

  constructor(
    readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal,
    { isResident, matrixElements = MATRIX_ELEMENTS }: DecoderOptions,
  ) {
    checkForwardPass(checkpoint)
    this.#kernels = new KernelCache(runtime)
    this.#shapes = new LayerKernels(checkpoint, runtime)
    const options = { checkpoint, runtime, signal, matrixElements }
    this.#weights = isResident ? residentWeights(options) : streamedWeights(options)
  }

  /**
   * The hidden state after the last of some tokens, `[hiddenSize]`, before the final norm; yields after each layer. Where
   * all but the last are those of the call before, only the last is computed; elsewhere, and where a longer sequence
   * changes the angles of all positions (longrope, dynamic), all are.
   *
   * @throws AppError `numeric_failure` naming the layer.
   */
  async *last(ids: Int32Array): AsyncGenerator<void, Float32Array> {
    const { config } = this.checkpoint
    const past = ids.length - 1
    const isNext =
      past > 0 &&
      past === this.#ids.length &&
      this.#class === ropeClass(config, ids.length) &&
      this.#ids.every((id, index) => id === ids[index])
    if (isNext) return yield* this.#next(ids)
    return (yield* this.all(ids)).subarray(-config.hiddenSize)
  }

  /** The hidden states of all tokens, `[ids.length, hiddenSize]`, computed anew. */
  async *all(ids: Int32Array): AsyncGenerator<void, Float32Array> {
    this.#forget()
    const { architecture, config } = this.checkpoint
    const { length } = ids
    const start = this.runtime.float32(await this.#embed(ids), [1, length, config.hiddenSize])
    const run = async ({ layer, weights }: StreamedLayer, hidden: Tensor): Promise<Results> => {
      const shape = this.#shapes.shapeOf(layer, length)
      const kernel = await this.#kernels.get(
        `first/${shapeKey(shape)}`,
        () => buildFirstLayer(config, architecture, shape),
        { resident: [LAYER_IO.output, ...this.#kept(layer)], keepsMemory: false },
      )
      const tables = this.#shapes.tables(shape, length)
      return kernel.run({ ...weights, ...tables, [LAYER_IO.input]: hidden })
    }
    return yield* this.#through(ids, start, run)
  }

  /** The logits of hidden states `[rows, hiddenSize]`, a part of the vocabulary at a time. */
  async *logits(hidden: Float32Array): AsyncGenerator<LogitsPart, void> {
    const { hiddenSize } = this.checkpoint.config
    const rows = hidden.length / hiddenSize
    const kernel = await this.#kernels.get('logits', () => buildLogitsHead(this.checkpoint))
    this.#norm ??= this.runtime.float32(
      await this.checkpoint.readFloat32(this.checkpoint.architecture.finalNorm),
      [hiddenSize],
    )
    for await (const { tensor, start, end } of this.#weights.head()) {
      const result = await kernel.run({
        [HEAD_IO.hidden]: this.runtime.float32(hidden, [rows, hiddenSize]),
        [HEAD_IO.norm]: this.#norm,
        [HEAD_IO.matrix]: tensor,
      })
      yield { logits: result.floats(HEAD_IO.logits), start, end }
      await this.#breathe()
    }
  }

  async dispose(): Promise<void> {
    this.#forget()
    this.#weights.dispose()
    await this.#kernels.dispose()
    await this.#shapes.dispose()
  }

  /** One more token. */
  async *#next(ids: Int32Array): AsyncGenerator<void, Float32Array> {
    const { architecture, config } = this.checkpoint
    const past = ids.length - 1
    const masks = new Map<number | null, Tensor>()
    const maskOf = (window: number | null): Tensor => {
      const mask = masks.get(window) ?? this.runtime.float32(nextMask(past, window), [1, past + 1])
      masks.set(window, mask)
      return mask
    }
    const places = { tokens: ids.length, first: past }
    const tables = new Map<string, Readonly<Record<string, Tensor>>>()
    const tablesOf = (
      shape: LayerShape,
      window: number | null,
    ): Readonly<Record<string, Tensor>> => {
      const key = `${shapeKey(shape)}/${window}`
      const found =
        tables.get(key) ?? layerTables(this.runtime, config, shape, places, maskOf(window))
      tables.set(key, found)
      return found
    }
    const start = this.runtime.float32(await this.#embed(ids.subarray(past)), [
      1,
      1,
      config.hiddenSize,
    ])
    return yield* this.#through(ids, start, async ({ layer, weights }, hidden) => {
      const before = this.#cache[layer] ?? {}
      const shape = { ...this.#shapes.shapeOf(layer, 1), window: null }
      // The past grows with each run, so no plan of memory fits the next one.
      const kernel = await this.#kernels.get(
        `next/${shapeKey(shape)}`,
        () => buildNextLayer(config, architecture, shape),
        { resident: [LAYER_IO.output, ...this.#kept(layer)], plansMemory: false },
      )
      const results = await kernel.run({
        ...weights,
        ...tablesOf(shape, windowOfLayer(config, layer)),
        [LAYER_IO.input]: hidden,
        ...Object.fromEntries(Object.entries(before).map(([name, kept]) => [pastOf(name), kept])),
      })
      this.#release(before)
      return results
    })
  }

  /** Takes hidden states through all layers, and keeps what each leaves. */
  async *#through(
    ids: Int32Array,
    start: Tensor,
    run: (layer: StreamedLayer, hidden: Tensor) => Promise<Results>,
  ): AsyncGenerator<void, Float32Array> {
    // Until all layers have seen them, nothing is known of the tokens.
    this.#ids = new Int32Array(0)
    let hidden = start
    for await (const streamed of this.#weights.layers()) {
      const results = await run(streamed, hidden)
      this.runtime.release(hidden)
      hidden = results.one(LAYER_IO.output)
      this.#cache[streamed.layer] = Object.fromEntries(
        this.#kept(streamed.layer).map((name) => [name, results.one(name)]),
      )
      if (hidden.location === 'cpu')
        this.#requireFinite(hidden.data as Float32Array, streamed.layer)
      yield
      await this.#breathe()
    }
    const values = await this.runtime.read(hidden)
    this.runtime.release(hidden)
    this.#requireFinite(values, this.checkpoint.config.numHiddenLayers - 1)
    this.#ids = ids.slice()
    this.#class = ropeClass(this.checkpoint.config, ids.length)
    return values
  }

  #requireFinite(values: Float32Array, layer: number): void {
    requireFinite(values, layer, this.checkpoint, this.runtime)
  }

  /** The tokens' embeddings, `[ids.length, hiddenSize]`: few enough to be read each on its own. */
  async #embed(ids: Int32Array): Promise<Float32Array> {
    const { architecture, config } = this.checkpoint
    const width = config.hiddenSize
    const rows = new Float32Array(ids.length * width)
    for (const [index, id] of ids.entries()) {
      const into = rows.subarray(index * width, (index + 1) * width)
      await this.checkpoint.readFloat32(architecture.embedTokens, { rows: [id, id + 1], into })
    }
    return scaleEmbeddings(rows, config)
  }

  #forget(): void {
    for (const cache of this.#cache) this.#release(cache)
    this.#cache = []
    this.#ids = new Int32Array(0)
  }

  #release(cache: LayerCache): void {
    for (const tensor of Object.values(cache)) this.runtime.release(tensor)
  }

  /** The names of what a layer keeps. */
  #kept(layer: number): readonly string[] {
    const shape = this.#shapes.shapeOf(layer, 1)
    return keptShapes(this.checkpoint.config, shape).map(([name]) => name)
  }

  async #breathe(): Promise<void> {
    await setImmediate()
    this.signal.throwIfAborted()
  }
}
