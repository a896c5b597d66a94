import { AppError } from '@shared/errors'
import type { Alignment } from '../alignment/Alignment'
import type { ExpertChains } from '../alignment/ExpertChains'
import type { Span } from '../architectures/Architecture'
import type { Checkpoint, TensorInfo } from '../checkpoint/Checkpoint'
import type { Precision } from './decomposition/CoordinateStore'
import type { WeightSource } from './decomposition/decompose'
import { transposed } from '../lib/matrix'
import { wholeSeries, type Series } from './series'

/** Element types of 16 bits. */
const HALF: ReadonlySet<string> = new Set(['BF16', 'F16'])

/** A matrix's place: a checkpoint, a layer of it and, of experts, a chain of those that go together along the layers. */
interface Place {
  readonly checkpoint: Checkpoint
  readonly layer: number
  readonly chain: number
}

interface StackOptions {
  readonly also?: readonly Checkpoint[] | undefined
  readonly alignment?: Alignment | null | undefined
  readonly experts?: ExpertChains | null | undefined
}

/**
 * A series of matrices of a checkpoint, chain by chain: the layers of each expert or, without experts, the one chain that
 * there is; then those of further checkpoints of the same shape. Every read goes into the same buffer.
 */
export class StackedMatrix implements WeightSource {
  readonly series: Series
  /** Of all chains. */
  readonly layerCount: number
  /** How many chains there are, with as many layers each. */
  readonly chains: number
  /** Those among them, the first ones, that are of the first checkpoint. */
  readonly ownChains: number
  readonly rows: number
  readonly width: number
  readonly precision: Precision
  private readonly all: readonly Checkpoint[]
  private readonly options: StackOptions
  private buffer: Float32Array | null = null

  /**
   * @param series A slot's id stands for all layers that have it.
   * @param options.also Further checkpoints.
   * @param options.alignment Where it is given, matrices are read in the order that all layers share. It is the first
   *   checkpoint's: training moves no neuron to another place, so that the others' layers are in the order of its own.
   * @param options.experts Which experts go together; without it those of the same number, neurons as they are.
   */
  constructor(checkpoint: Checkpoint, series: Series | string, options: StackOptions = {}) {
    this.series = typeof series === 'string' ? wholeSeries(checkpoint, series) : series
    this.options = options
    this.all = [checkpoint, ...(options.also ?? [])]
    const { experts, slot, isTransposed } = this.series
    this.ownChains = experts ?? 1
    this.chains = this.all.length * this.ownChains
    this.layerCount = this.chains * this.series.layers.length
    const [rows = 0, width = 0] = checkpoint.slot(slot).weight.shape
    this.rows = isTransposed ? width : rows
    this.width = isTransposed ? rows : width
    const layers = Array.from({ length: this.layerCount }, (_, layer) => layer)
    const isHalf = layers.every((layer) => HALF.has(this.tensorOf(layer)?.dtype ?? ''))
    this.precision = isHalf ? 'int16' : 'float32'
  }

  /** Of results, series and options. */
  get weightType(): string {
    return this.series.id
  }

  /** Of the stored elements: of the given layers, or of all. Layers may differ. */
  dtypes(layers?: readonly number[]): string[] {
    const asked = layers ?? Array.from({ length: this.layerCount }, (_, layer) => layer)
    return asked.map((layer) => this.tensorOf(layer)?.dtype ?? '')
  }

  /** The tensor that holds the layer's matrix, alone or with others. */
  nameOf(layer: number): string {
    const { checkpoint, layer: own } = this.placeOf(layer)
    return checkpoint.layerTensorName(own, this.spanOf(layer).tensor)
  }

  private spanOf(layer: number): Span {
    const { checkpoint, layer: own, chain } = this.placeOf(layer)
    const { slot, experts } = this.series
    const expert = experts === null ? null : (this.options.experts?.expertOf(own, chain) ?? chain)
    const found = checkpoint.slotsOf(own).find((each) => each.id === slot && each.expert === expert)
    if (found) return found.weight
    throw new AppError('bug', `Layer ${own} has no ${slot}.`)
  }

  private placeOf(layer: number): Place {
    const { layers } = this.series
    const chain = Math.floor(layer / layers.length)
    const checkpoint = this.all[Math.floor(chain / this.ownChains)]
    const own = layers[layer % layers.length]
    if (checkpoint && own !== undefined) {
      return { checkpoint, layer: own, chain: chain % this.ownChains }
    }
    throw new AppError('bug', `There is no layer ${layer} among ${this.layerCount}.`)
  }

  async read(layer: number): Promise<Float32Array> {
    const { slot, experts, isTransposed } = this.series
    const { offset, tensor } = this.spanOf(layer)
    const size = this.rows * this.width
    this.buffer ??= new Float32Array(size)
    const { checkpoint, layer: own, chain } = this.placeOf(layer)
    const values = await checkpoint.readFloat32(checkpoint.layerTensorName(own, tensor), {
      elements: [offset, offset + size],
      into: this.buffer,
    })
    if (experts === null)
      return this.options.alignment?.align(values, this.width, slot, own) ?? values
    const upright = isTransposed ? transposed(values, this.width, this.rows) : values
    return this.options.experts?.align(upright, this.width, { layer: own, chain }) ?? upright
  }

  /**
   * A matrix `[rows, width]` as {@link read} gives them, in the own order of a layer and of one of its experts, as the files
   * have it.
   */
  restored(values: Float32Array, layer: number, chain: number): Float32Array {
    const { slot, experts, isTransposed } = this.series
    if (experts === null) {
      return this.options.alignment?.restore(values, this.width, slot, layer) ?? values
    }
    const own = this.options.experts?.restore(values, this.width, { layer, chain }) ?? values
    return isTransposed ? transposed(own, this.rows, this.width) : own
  }

  /**
   * Finds the tensor that made a computation fail.
   *
   * @throws AppError `numeric_failure` naming the first tensor that holds NaN or an infinity, if one does.
   */
  async refuseNonFinite(): Promise<void> {
    for (let layer = 0; layer < this.layerCount; layer += 1) {
      const values = await this.stored(layer)
      const at = values.findIndex((value) => !Number.isFinite(value))
      if (at === -1) continue
      const tensor = this.nameOf(layer)
      const info = this.tensorOf(layer)
      const width = this.series.isTransposed ? this.rows : this.width
      const place = this.spanOf(layer).offset + at
      throw new AppError(
        'numeric_failure',
        `The tensor "${tensor}" holds a value that is not finite.`,
        {
          hint: 'The checkpoint is damaged: such a model computes nothing useful either.',
          context: {
            ...(info ? { file: info.file } : {}),
            tensor,
            expected: 'finite weights',
            actual: `${values[at]} at row ${Math.floor(place / width)}, column ${place % width}`,
          },
        },
      )
    }
  }

  /** As the files have it. */
  private async stored(layer: number): Promise<Float32Array> {
    const { offset } = this.spanOf(layer)
    const elements = [offset, offset + this.rows * this.width] as const
    return this.placeOf(layer).checkpoint.readFloat32(this.nameOf(layer), { elements })
  }

  private tensorOf(layer: number): TensorInfo | undefined {
    return this.placeOf(layer).checkpoint.tensors.get(this.nameOf(layer))
  }
}
