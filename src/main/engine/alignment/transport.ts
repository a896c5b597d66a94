/**
 * @file The rows of a layer transported onto those of the next one: neurons by what their rows of `gate_proj` and `up_proj`
 * are, and key/value heads with their query heads, as wholes (after OpT-DeUS, arXiv 2508.08011, which transports every row
 * by itself: rotary positions forbid that inside a head).
 */
import { AppError } from '@shared/errors'
import { requireAllComputed } from '../architectures/notRun'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime } from '../onnx/Runtime'
import { BLOCK, LayerUnits } from './features'
import { transportShares } from './sinkhorn'

/** What is transported: a slot's matrix, row-major, its bias and the gain over its rows. */
export interface TransportedSlot {
  readonly slot: string
  readonly weight: Float32Array
  readonly bias: Float32Array | null
  readonly gain: Float32Array | null
}

const HEAD_SLOTS = ['q_proj', 'k_proj', 'v_proj'] as const
const NEURON_SLOTS = ['gate_proj', 'up_proj'] as const
export const TRANSPORTED_SLOTS: readonly string[] = [...HEAD_SLOTS, ...NEURON_SLOTS]

/**
 * Refuses models whose layers have several MLPs, convolutions, or more than is computed here.
 *
 * @throws AppError `unsupported_architecture`.
 */
export function requireTransportable(
  checkpoint: Pick<Checkpoint, 'architecture' | 'config' | 'path'>,
): void {
  const { config, path } = checkpoint
  requireAllComputed(checkpoint, `OpT-DeUS does not grow ${config.architectureName}`)
  const { architectureName, experts, convolution } = config
  const refuse = (what: string, hint: string, context: { expected: string; actual: string }) =>
    new AppError(
      'unsupported_architecture',
      `OpT-DeUS does not grow models with ${what}: ${architectureName}.`,
      { hint, context: { file: path, field: 'architectures', ...context } },
    )
  if (experts !== null) {
    throw refuse(
      'experts',
      'It transports the neurons of one MLP onto those of another, and says nothing of experts. Choose LESA or the mean of neighbours, which match them.',
      { expected: 'layers with one MLP each', actual: `${experts.count} experts` },
    )
  }
  if (convolution !== null) {
    const count = convolution.isConvolution.filter(Boolean).length
    throw refuse(
      'convolutions',
      'It transports the heads of one layer onto those of another, and says nothing of the channels of a convolution. Choose another method.',
      { expected: 'layers that all attend', actual: `${count} layers with convolutions` },
    )
  }
}

/** Transports one layer onto another at a time. */
export class LayerTransport {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly units: LayerUnits,
    private readonly product: Kernel,
  ) {}

  static async create(checkpoint: Checkpoint, runtime: Runtime): Promise<LayerTransport> {
    const g = new Graph()
    const shares = g.input('shares', ['block', 'all'])
    const rows = g.input('rows', ['all', checkpoint.config.hiddenSize])
    g.output('moved', g.matmul(shares, rows))
    const units = await LayerUnits.create(checkpoint, runtime)
    return new LayerTransport(checkpoint, runtime, units, await runtime.compile(g))
  }

  /** Those that the family has. */
  get #neuronSlots(): string[] {
    return NEURON_SLOTS.filter((slot) => this.checkpoint.weightTypes.includes(slot))
  }

  async dispose(): Promise<void> {
    await this.units.dispose()
    await this.product.dispose()
  }

  /**
   * Layer `left`'s slots in the place of layer `right`'s: each row is the mean of left rows by the mass that goes to it.
   *
   * @param onProgress Called with the share that is done; may throw to stop.
   * @throws AppError `bad_checkpoint` for weights that are not finite.
   */
  async *transport(
    left: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): AsyncGenerator<TransportedSlot> {
    yield* this.#heads(left, right, onProgress)
    await onProgress(0.1)
    yield* this.#neurons(left, right, onProgress)
  }

  async *#heads(
    left: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): AsyncGenerator<TransportedSlot> {
    const count = this.checkpoint.config.numKeyValueHeads
    const squares = new Float64Array(count ** 2)
    for (const slot of HEAD_SLOTS) {
      addSquares(
        squares,
        count,
        await this.units.features(slot, left),
        await this.units.features(slot, right),
      )
      const [a, b] = [
        await this.units.vector(slot, 'bias', left),
        await this.units.vector(slot, 'bias', right),
      ]
      if (a && b) addSquares(squares, count, a, b)
      await onProgress(0)
    }
    const cost = Float32Array.from(squares, Math.sqrt)
    const shares = await transportShares(requireFinite(cost, left, right), count)
    for (const slot of HEAD_SLOTS) {
      const weight = mixed(shares, count, await this.units.features(slot, left))
      const bias = await this.units.vector(slot, 'bias', left)
      const gain = await this.units.vector(slot, 'gain', left)
      yield {
        slot,
        weight,
        bias: bias && mixed(shares, count, bias),
        gain: gain && mixed(shares, count, gain),
      }
      await onProgress(0)
    }
  }

  async *#neurons(
    left: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): AsyncGenerator<TransportedSlot> {
    const n = this.checkpoint.config.intermediateSize
    const cost = new Float32Array(n ** 2)
    for (const slot of this.#neuronSlots) {
      await this.units.subtractNeurons(cost, slot, right, left)
      await onProgress(0.2)
    }
    const [from, to] = [await this.#squares(left), await this.#squares(right)]
    for (let row = 0; row < n; row += 1) {
      for (let column = 0; column < n; column += 1) {
        const at = row * n + column
        // Rounding can make it less than nothing.
        cost[at] = Math.sqrt(Math.max(0, to[row]! + from[column]! + 2 * cost[at]!))
      }
    }
    requireFinite(cost, left, right)
    const shares = await transportShares(cost, n, (done) => onProgress(0.3 + 0.5 * done))
    for (const [index, slot] of this.#neuronSlots.entries()) {
      const weight = await this.#moved(shares, n, await this.units.features(slot, left))
      const bias = await this.units.vector(slot, 'bias', left)
      yield { slot, weight, bias: bias && mixed(shares, n, bias), gain: null }
      await onProgress(0.9 + 0.1 * index)
    }
  }

  /** Σ x² of all that a neuron's cost goes by. */
  async #squares(layer: number): Promise<Float64Array> {
    const n = this.checkpoint.config.intermediateSize
    const sums = new Float64Array(n)
    for (const slot of this.#neuronSlots) {
      for (const values of [
        await this.units.features(slot, layer),
        await this.units.vector(slot, 'bias', layer),
      ]) {
        const width = (values?.length ?? 0) / n
        values?.forEach((value, index) => {
          sums[Math.floor(index / width)]! += value * value
        })
      }
    }
    return sums
  }

  /** `shares · rows`, `[n, hiddenSize]`. */
  async #moved(shares: Float32Array, n: number, rows: Float32Array): Promise<Float32Array> {
    const width = this.checkpoint.config.hiddenSize
    const moved = new Float32Array(rows.length)
    const all = await this.runtime.upload(rows, [n, width])
    try {
      for (let start = 0; start < n; start += BLOCK) {
        const end = Math.min(n, start + BLOCK)
        const block = await this.runtime.upload(shares.subarray(start * n, end * n), [
          end - start,
          n,
        ])
        try {
          const results = await this.product.run({ shares: block, rows: all })
          moved.set(results.floats('moved'), start * width)
        } finally {
          this.runtime.release(block)
        }
      }
    } finally {
      this.runtime.release(all)
    }
    return moved
  }
}

/** `sums[right, left] += Σ (left − right)²`, of `count` units on either side, one after another. */
function addSquares(
  sums: Float64Array,
  count: number,
  left: Float32Array,
  right: Float32Array,
): void {
  const size = left.length / count
  for (let row = 0; row < count; row += 1) {
    for (let column = 0; column < count; column += 1) {
      let sum = 0
      for (let k = 0; k < size; k += 1) {
        sum += (right[row * size + k]! - left[column * size + k]!) ** 2
      }
      sums[row * count + column]! += sum
    }
  }
}

/** The mean of the units by each row of `shares`, `[count, count]`. */
function mixed(shares: Float32Array, count: number, units: Float32Array): Float32Array {
  const size = units.length / count
  const means = new Float32Array(units.length)
  for (let row = 0; row < count; row += 1) {
    for (let column = 0; column < count; column += 1) {
      const share = shares[row * count + column]!
      for (let k = 0; k < size; k += 1) means[row * size + k]! += share * units[column * size + k]!
    }
  }
  return means
}

function requireFinite(cost: Float32Array, left: number, right: number): Float32Array {
  if (cost.every(Number.isFinite)) return cost
  const message = `Layers ${left} and ${right} have weights that are not finite, or too large: their distances are not known.`
  throw new AppError('bad_checkpoint', message, {
    context: { expected: 'finite weights', actual: `not all, in layers ${left} and ${right}` },
  })
}
