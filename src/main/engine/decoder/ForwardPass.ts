import { setImmediate } from 'node:timers/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { arrayLimits } from '../lib/arrays'
import { mlpSize, type ModelConfig } from '../architectures/config'
import { requireAllComputed } from '../architectures/notRun'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Runtime } from '../onnx/Runtime'
import { groupBatches, planBatches, type Batch } from './batches'
import { checkActivation } from './decoderLayer'
import { embed } from './embedding'
import { LayerKernels } from './LayerKernels'
import { streamLayers, type StreamedLayer } from './layerStream'
import { OutputHead } from './OutputHead'
import { inverseFrequencies, ropeClass } from './rope'
import { VocabularyMatrix } from './VocabularyMatrix'

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

/** A batch with its hidden states `[sequences, length, hiddenSize]`, which each layer replaces. */
export interface HiddenBatch {
  readonly batch: Batch
  hidden: Float32Array
}

/** Work for one run of a layer: enough for the matrix products to be fast, little enough to stop in between. */
const FLOPS_PER_RUN = 6e10

/** Sizes that suit the model; `limits` overrides them. */
export function defaultLimits(config: ModelConfig): ForwardLimits {
  const { hiddenSize, headDim, numAttentionHeads, numKeyValueHeads } = config
  const { features } = mlpSize(config)
  const perToken =
    2 * hiddenSize * (3 * features + 2 * headDim * (numAttentionHeads + numKeyValueHeads))
  return {
    batchPositions: Math.min(4096, Math.max(512, Math.floor(FLOPS_PER_RUN / perToken))),
    hiddenBytes: Math.min(4 * 2 ** 30, totalmem() / 8, arrayLimits().all / 4),
    matrixElements: 2 ** 26,
    logits: 2 ** 23,
  }
}

/**
 * Checks, without reading weights, that a model's forward pass is known.
 *
 * @throws AppError `unsupported_architecture` for layers, kinds of rotary positions or activations that are not.
 */
export function checkForwardPass(
  checkpoint: Pick<Checkpoint, 'architecture' | 'config' | 'path'>,
): void {
  const { config, path } = checkpoint
  requireAllComputed(checkpoint)
  try {
    inverseFrequencies(config, 1)
    if (config.localRope) inverseFrequencies({ rope: config.localRope }, 1)
    checkActivation(config)
  } catch (error) {
    throw error instanceof AppError ? error.about(join(path, 'config.json')) : error
  }
}

/**
 * A model's forward pass over many sequences with one layer's weights in memory at a time (and the next one's, while it
 * is read): all hidden states stay in memory instead.
 */
export class ForwardPass {
  readonly head: OutputHead
  readonly #kernels: LayerKernels
  readonly #limits: ForwardLimits

  constructor(
    readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal,
    limits: Partial<ForwardLimits> = {},
    /** Other layers than the checkpoint's own, from the first to the last. */
    private readonly stream: () => AsyncIterable<StreamedLayer> = () =>
      streamLayers(checkpoint, runtime, signal),
  ) {
    checkForwardPass(checkpoint)
    this.#limits = { ...defaultLimits(checkpoint.config), ...limits }
    this.#kernels = new LayerKernels(checkpoint, runtime)
    this.head = new OutputHead(checkpoint, runtime, signal, this.#limits)
  }

  /**
   * Sequences in batches, and these in groups whose hidden states are in memory together.
   *
   * @param others Run the same batches after this one, each while this one's hidden states are kept.
   */
  plan(sequences: readonly Int32Array[], others: readonly ForwardPass[] = []): Batch[][] {
    const passes = [this, ...others]
    const configs = passes.map(({ checkpoint }) => checkpoint.config)
    const positions = Math.min(...passes.map((pass) => pass.#limits.batchPositions))
    const batches = planBatches(sequences, positions, ({ length }) =>
      configs.map((config) => ropeClass(config, length)).join('/'),
    )
    const [own = 0, ...widths] = configs.map(({ hiddenSize }) => hiddenSize)
    return groupBatches(batches, own + Math.max(0, ...widths), this.#limits.hiddenBytes)
  }

  /** The hidden states before the first layer. */
  async embed(batches: readonly Batch[]): Promise<HiddenBatch[]> {
    const { architecture, config } = this.checkpoint
    const { matrixElements } = this.#limits
    const matrix = new VocabularyMatrix(this.checkpoint, architecture.embedTokens, matrixElements)
    const states = await embed(config, matrix, batches, this.signal)
    return batches.map((batch, index) => ({ batch, hidden: states[index] ?? new Float32Array(0) }))
  }

  /**
   * Runs all batches through all layers, one layer at a time; yields after each run of a layer.
   *
   * @throws AppError `numeric_failure` naming the layer whose output is not finite.
   */
  async *throughLayers(actives: readonly HiddenBatch[]): AsyncGenerator<void, void> {
    for await (const streamed of this.stream()) {
      for (const active of actives) {
        active.hidden = await this.#kernels.forward(streamed, active.hidden, active.batch)
        requireFinite(active.hidden, streamed.layer, this.checkpoint, this.runtime)
        yield
        await setImmediate()
        this.signal.throwIfAborted()
      }
    }
  }

  /** Frees its kernels; they are compiled again where it is used again. */
  async dispose(): Promise<void> {
    await this.#kernels.dispose()
    await this.head.dispose()
  }
}

/**
 * Checks what a layer has computed.
 *
 * @throws AppError `numeric_failure` naming the layer.
 */
export function requireFinite(
  values: Float32Array,
  layer: number,
  checkpoint: Checkpoint,
  { device }: Runtime,
): void {
  if (allFinite(values)) return
  throw new AppError(
    'numeric_failure',
    `Layer ${layer} computes values that are not finite numbers.`,
    {
      hint: 'Look at its weights: they may hold infinities, or be far too large.',
      context: { file: checkpoint.path, stage: `layer ${layer}`, device },
    },
  )
}

/** True when every value is a finite number. */
function allFinite(values: Float32Array): boolean {
  // Zero times a finite number is zero; anything else makes the sum NaN.
  let sum = 0
  for (let index = 0; index < values.length; index += 1) sum += (values[index] ?? NaN) * 0
  return sum === 0
}
