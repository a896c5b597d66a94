import { setImmediate } from 'node:timers/promises'
import { totalmem } from 'node:os'
import { AppError } from '@shared/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { elementsOf } from '../architectures/Architecture'
import { windowOfLayer, type ModelConfig } from '../architectures/config'
import type { Kernel, Runtime, Tensor } from '../onnx/Runtime'
import { batchPositions, groupBatches, planBatches, type Batch } from './batches'
import {
  attentionMask,
  buildDecoderLayer,
  checkActivation,
  LAYER_IO,
  layerInputs,
  maskWidth,
  queryChunk,
  type LayerShape,
} from './decoderLayer'
import { buildLogitsHead, buildScoringHead, HEAD_IO, TargetScores } from './head'
import { LayerReader, type LayerWeights } from './LayerReader'
import { inverseFrequencies, ropeTables } from './rope'

export interface ForwardLimits {
  /** Tokens that run through a layer at once; one sequence at least. */
  readonly batchPositions: number
  /** Bytes of hidden states kept at once; more sequences than fit take another pass over the weights. */
  readonly hiddenBytes: number
  /** Elements of the embedding or output matrix in memory at once. */
  readonly matrixElements: number
  /** Logits computed at once. */
  readonly logits: number
}

/** How far a pass is: runs of a layer, then of the head. */
export interface ForwardProgress {
  readonly stage: 'layers' | 'head'
  readonly done: number
  readonly total: number
}

/** How well the tokens of a sequence were predicted. */
export interface SequenceScore {
  /** Sum over its predicted positions of −ln p(token | the ones before it). */
  readonly nll: number
  /** Its tokens but the first. */
  readonly predicted: number
}

/** A batch with its hidden states `[sequences, length, hiddenSize]`. */
interface Active {
  readonly batch: Batch
  hidden: Float32Array
}

/** Work for one run of a layer: enough for the matrix products to be fast, little enough to stop in between. */
const FLOPS_PER_RUN = 6e10

/** Sizes that suit the model; `limits` overrides them. */
export function defaultLimits(config: ModelConfig): ForwardLimits {
  const { hiddenSize, intermediateSize, headDim, numAttentionHeads, numKeyValueHeads } = config
  const perToken =
    2 * hiddenSize * (3 * intermediateSize + 2 * headDim * (numAttentionHeads + numKeyValueHeads))
  return {
    batchPositions: Math.min(4096, Math.max(512, Math.floor(FLOPS_PER_RUN / perToken))),
    hiddenBytes: Math.min(4 * 2 ** 30, totalmem() / 8),
    matrixElements: 2 ** 26,
    logits: 2 ** 23,
  }
}

/**
 * Checks, without reading weights, that a model's forward pass is known.
 *
 * @throws AppError `unsupported_architecture` for kinds of rotary positions or activations that are not.
 */
export function checkForwardPass(config: ModelConfig): void {
  inverseFrequencies(config)
  checkActivation(config)
}

/**
 * A model's forward pass over many sequences with one layer's weights in memory at a time (and the next one's, while it
 * is read): all hidden states stay in memory instead.
 */
export class ForwardPass {
  readonly #kernels = new Map<string, Promise<Kernel>>()
  readonly #tables = new Map<string, Readonly<Record<string, Tensor>>>()
  readonly #limits: ForwardLimits

  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal,
    limits: Partial<ForwardLimits> = {},
  ) {
    checkForwardPass(checkpoint.config)
    this.#limits = { ...defaultLimits(checkpoint.config), ...limits }
  }

  /**
   * How well each sequence's tokens are predicted from the ones before them.
   *
   * @param sequences Token ids below the vocabulary's size, two at least in each.
   * @throws AppError `numeric_failure` naming the layer whose output is not finite.
   */
  async *score(
    sequences: readonly Int32Array[],
  ): AsyncGenerator<ForwardProgress, readonly SequenceScore[]> {
    const groups = this.#plan(sequences)
    const progress = this.#progress(groups)
    const scores = sequences.map((): SequenceScore => ({ nll: 0, predicted: 0 }))
    for (const group of groups) {
      const actives = await this.#embed(group)
      yield* this.#layers(actives, progress)
      yield* this.#scoreGroup(actives, scores, progress)
    }
    return scores
  }

  /** The logits at every position of one sequence, `[ids.length, vocabSize]`. */
  async logits(ids: Int32Array): Promise<Float32Array> {
    const { vocabSize, hiddenSize } = this.checkpoint.config
    const [active] = await this.#embed([{ length: ids.length, sequences: [ids], indices: [0] }])
    if (!active) throw new AppError('bug', 'There is no sequence.')
    for await (const _ of this.#layers([active], null));
    const kernel = await this.#kernel('logits', () => buildLogitsHead(this.checkpoint))
    const norm = await this.#norm()
    const all = new Float32Array(ids.length * vocabSize)
    const hidden = this.runtime.float32(active.hidden, [ids.length, hiddenSize])
    for await (const part of this.#matrix(this.#headName())) {
      const result = await kernel.run({
        [HEAD_IO.hidden]: hidden,
        [HEAD_IO.norm]: norm,
        [HEAD_IO.matrix]: part.tensor,
      })
      const logits = result.floats(HEAD_IO.logits)
      const width = part.end - part.start
      for (let row = 0; row < ids.length; row += 1) {
        all.set(logits.subarray(row * width, (row + 1) * width), row * vocabSize + part.start)
      }
    }
    return all
  }

  #progress(groups: readonly (readonly Batch[])[]): Counter {
    const batches = groups.flat()
    const rows = this.#headRows()
    const chunks = batches.reduce((sum, batch) => sum + Math.ceil(batchPositions(batch) / rows), 0)
    return new Counter(
      batches.length * this.checkpoint.config.numHiddenLayers,
      chunks * this.#matrixParts(),
    )
  }

  #plan(sequences: readonly Int32Array[]): Batch[][] {
    const batches = planBatches(sequences, this.#limits.batchPositions)
    return groupBatches(batches, this.checkpoint.config.hiddenSize, this.#limits.hiddenBytes)
  }

  // ---- embedding ----------------------------------------------------------------------------------------------

  /** Looks up the embeddings, reading the matrix a part at a time and only where a token needs it. */
  async #embed(batches: readonly Batch[]): Promise<Active[]> {
    const { hiddenSize, vocabSize } = this.checkpoint.config
    const actives = batches.map((batch) => ({
      batch,
      hidden: new Float32Array(batchPositions(batch) * hiddenSize),
    }))
    const name = this.checkpoint.architecture.embedTokens
    const rows = this.#matrixRows()
    const buffer = new Float32Array(rows * hiddenSize)
    for (let start = 0; start < vocabSize; start += rows) {
      const end = Math.min(vocabSize, start + rows)
      const inPart = (id: number): boolean => id >= start && id < end
      if (!batches.some(({ sequences }) => sequences.some((ids) => ids.some(inPart)))) continue
      this.signal.throwIfAborted()
      await setImmediate()
      await this.checkpoint.readFloat32(name, { rows: [start, end], into: buffer })
      for (const { batch, hidden } of actives) {
        batch.sequences.forEach((ids, row) => {
          ids.forEach((id, column) => {
            if (!inPart(id)) return
            const source = (id - start) * hiddenSize
            const target = (row * batch.length + column) * hiddenSize
            hidden.set(buffer.subarray(source, source + hiddenSize), target)
          })
        })
      }
    }
    return actives
  }

  // ---- layers -------------------------------------------------------------------------------------------------

  /** Runs all batches through all layers, one layer at a time. */
  async *#layers(
    actives: readonly Active[],
    progress: Counter | null,
  ): AsyncGenerator<ForwardProgress, void> {
    const { numHiddenLayers } = this.checkpoint.config
    const reader = new LayerReader(this.checkpoint)
    try {
      for (let layer = 0; layer < numHiddenLayers; layer += 1) {
        this.signal.throwIfAborted()
        const next = layer + 1 < numHiddenLayers ? layer + 1 : null
        const weights = await this.#feed(await reader.read(layer, next))
        try {
          for (const active of actives) {
            await this.#runLayer(layer, weights, active)
            if (progress) yield progress.layer()
            await setImmediate()
            this.signal.throwIfAborted()
          }
        } finally {
          for (const tensor of Object.values(weights)) this.runtime.release(tensor)
        }
      }
    } finally {
      await reader.settle()
    }
  }

  async #feed(weights: LayerWeights): Promise<Record<string, Tensor>> {
    const { architecture, config } = this.checkpoint
    const feeds: Record<string, Tensor> = {}
    for (const { name, tensor, offset, shape } of layerInputs(architecture, config)) {
      const values = weights.get(tensor)?.subarray(offset, offset + elementsOf(shape))
      if (values) feeds[name] = await this.runtime.upload(values, shape)
    }
    return feeds
  }

  async #runLayer(
    layer: number,
    weights: Readonly<Record<string, Tensor>>,
    active: Active,
  ): Promise<void> {
    const { checkpoint, runtime } = this
    const { batch } = active
    const shape = { length: batch.length, window: this.#window(layer, batch.length) }
    const kernel = await this.#kernel(`${shape.length}/${shape.window}`, () =>
      buildDecoderLayer(checkpoint.config, checkpoint.architecture, shape),
    )
    const dims = [batch.sequences.length, batch.length, checkpoint.config.hiddenSize]
    const result = await kernel.run({
      ...weights,
      ...this.#layerTables(shape),
      [LAYER_IO.input]: runtime.float32(active.hidden, dims),
    })
    active.hidden = result.floats(LAYER_IO.output)
    this.#checkFinite(active.hidden, layer)
  }

  /** The layer's window; `null` where no sequence is longer, so that layers share a graph. */
  #window(layer: number, length: number): number | null {
    const window = windowOfLayer(this.checkpoint.config, layer)
    return window === null || window >= length ? null : window
  }

  #layerTables(shape: LayerShape): Readonly<Record<string, Tensor>> {
    const key = `${shape.length}/${shape.window}`
    let tables = this.#tables.get(key)
    if (!tables) {
      const { config } = this.checkpoint
      const { cos, sin } = ropeTables(config, shape.length)
      const dims = [shape.length, config.headDim / 2]
      const maskDims = [queryChunk(shape.length), maskWidth(shape)]
      tables = {
        [LAYER_IO.cos]: this.runtime.float32(cos, dims),
        [LAYER_IO.sin]: this.runtime.float32(sin, dims),
        [LAYER_IO.mask]: this.runtime.float32(attentionMask(shape), maskDims),
      }
      this.#tables.set(key, tables)
    }
    return tables
  }

  #checkFinite(values: Float32Array, layer: number): void {
    if (allFinite(values)) return
    throw new AppError(
      'numeric_failure',
      `Layer ${layer} computes values that are not finite numbers.`,
      {
        hint: 'Look at its weights: they may hold infinities, or be far too large.',
        context: {
          file: this.checkpoint.path,
          stage: `layer ${layer}`,
          device: this.runtime.device,
        },
      },
    )
  }

  // ---- head ---------------------------------------------------------------------------------------------------

  async *#scoreGroup(
    actives: readonly Active[],
    scores: SequenceScore[],
    progress: Counter,
  ): AsyncGenerator<ForwardProgress, void> {
    const { hiddenSize } = this.checkpoint.config
    const kernel = await this.#kernel('score', () => buildScoringHead(this.checkpoint))
    const norm = await this.#norm()
    const rows = this.#headRows()
    const parts = actives.map((active) => {
      const targets = nextTokens(active.batch)
      return { active, targets, merged: new TargetScores(targets.length) }
    })
    for await (const { tensor, start, end } of this.#matrix(this.#headName())) {
      for (const { active, targets, merged } of parts) {
        for (let row = 0; row < targets.length; row += rows) {
          const last = Math.min(targets.length, row + rows)
          const isHere = (target: number): boolean => target >= start && target < end
          const local = BigInt64Array.from(targets.subarray(row, last), (target) =>
            isHere(target) ? BigInt(target - start) : 0n,
          )
          const hidden = active.hidden.subarray(row * hiddenSize, last * hiddenSize)
          const result = await kernel.run({
            [HEAD_IO.hidden]: this.runtime.float32(hidden, [last - row, hiddenSize]),
            [HEAD_IO.norm]: norm,
            [HEAD_IO.matrix]: tensor,
            [HEAD_IO.target]: this.runtime.int64(local, [last - row, 1]),
          })
          const max = result.floats(HEAD_IO.max)
          const sum = result.floats(HEAD_IO.sum)
          const logit = result.floats(HEAD_IO.logit)
          for (let index = 0; index < last - row; index += 1) {
            const found = isHere(targets[row + index] ?? -1) ? (logit[index] ?? NaN) : null
            merged.add(row + index, max[index] ?? NaN, sum[index] ?? NaN, found)
          }
          yield progress.head()
          await setImmediate()
          this.signal.throwIfAborted()
        }
      }
    }
    for (const { active, merged } of parts) {
      active.batch.sequences.forEach((ids, row) => {
        let nll = 0
        for (let column = 0; column + 1 < ids.length; column += 1) {
          nll += merged.nll(row * active.batch.length + column)
        }
        if (!Number.isFinite(nll)) throw this.#badHead()
        const index = active.batch.indices[row]
        if (index !== undefined) scores[index] = { nll, predicted: ids.length - 1 }
      })
    }
  }

  #badHead(): AppError {
    return new AppError(
      'numeric_failure',
      'The output layer computes values that are not finite.',
      {
        hint: 'Look at the final norm and the output matrix: they may hold infinities.',
        context: { file: this.checkpoint.path, tensor: this.#headName() },
      },
    )
  }

  async #norm(): Promise<Tensor> {
    const { architecture, config } = this.checkpoint
    const values = await this.checkpoint.readFloat32(architecture.finalNorm)
    return this.runtime.float32(values, [config.hiddenSize])
  }

  /** Tied models have no output matrix of their own. Where a file has one all the same, loaders use it. */
  #headName(): string {
    const { lmHead, embedTokens } = this.checkpoint.architecture
    return this.checkpoint.tensors.has(lmHead) ? lmHead : embedTokens
  }

  /** A matrix of vocabulary rows, some rows at a time. */
  async *#matrix(
    name: string,
  ): AsyncGenerator<{ readonly tensor: Tensor; readonly start: number; readonly end: number }> {
    const { hiddenSize, vocabSize } = this.checkpoint.config
    const rows = this.#matrixRows()
    const buffer = new Float32Array(rows * hiddenSize)
    for (let start = 0; start < vocabSize; start += rows) {
      this.signal.throwIfAborted()
      const end = Math.min(vocabSize, start + rows)
      const values = await this.checkpoint.readFloat32(name, { rows: [start, end], into: buffer })
      const tensor = await this.runtime.upload(values, [end - start, hiddenSize])
      try {
        yield { tensor, start, end }
      } finally {
        this.runtime.release(tensor)
      }
    }
  }

  /** Vocabulary rows in memory at once. */
  #matrixRows(): number {
    const { hiddenSize, vocabSize } = this.checkpoint.config
    return Math.min(vocabSize, Math.max(1, Math.floor(this.#limits.matrixElements / hiddenSize)))
  }

  #matrixParts(): number {
    return Math.ceil(this.checkpoint.config.vocabSize / this.#matrixRows())
  }

  /** Positions scored at once. */
  #headRows(): number {
    return Math.max(32, Math.floor(this.#limits.logits / this.#matrixRows()))
  }

  #kernel(key: string, build: () => Parameters<Runtime['compile']>[0]): Promise<Kernel> {
    let kernel = this.#kernels.get(key)
    if (!kernel) {
      kernel = this.runtime.compile(build())
      this.#kernels.set(key, kernel)
    }
    return kernel
  }

  async dispose(): Promise<void> {
    const kernels = await Promise.allSettled(this.#kernels.values())
    this.#kernels.clear()
    for (const kernel of kernels) if (kernel.status === 'fulfilled') await kernel.value.dispose()
  }
}

/** Counts runs, so that progress knows its total from the start. */
class Counter {
  #layers = 0
  #heads = 0

  constructor(
    private readonly layerRuns: number,
    private readonly headRuns: number,
  ) {}

  layer(): ForwardProgress {
    this.#layers += 1
    return { stage: 'layers', done: this.#layers, total: this.layerRuns }
  }

  head(): ForwardProgress {
    this.#heads += 1
    return { stage: 'head', done: this.#heads, total: this.headRuns }
  }
}

/** Each position's next token; −1 where there is none. */
function nextTokens({ length, sequences }: Batch): Int32Array {
  const targets = new Int32Array(length * sequences.length).fill(-1)
  sequences.forEach((ids, row) => targets.set(ids.subarray(1), row * length))
  return targets
}

/** True when every value is a finite number. */
function allFinite(values: Float32Array): boolean {
  // Zero times a finite number is zero; anything else makes the sum NaN.
  let sum = 0
  for (let index = 0; index < values.length; index += 1) sum += (values[index] ?? NaN) * 0
  return sum === 0
}
