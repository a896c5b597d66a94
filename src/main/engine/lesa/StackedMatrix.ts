import { AppError } from '@shared/errors'
import type { Alignment } from '../alignment/Alignment'
import type { Slot } from '../architectures/Architecture'
import type { Checkpoint, TensorInfo } from '../checkpoint/Checkpoint'
import type { Precision } from './decomposition/CoordinateStore'
import type { WeightSource } from './decomposition/decompose'

/** Element types of 16 bits. */
const HALF: ReadonlySet<string> = new Set(['BF16', 'F16'])

/** A matrix's place: a checkpoint, and a layer of it. */
interface Place {
  readonly checkpoint: Checkpoint
  readonly layer: number
}

/**
 * One weight type of a checkpoint, layer by layer, and of further checkpoints of the same shape after it: all of theirs,
 * one checkpoint after the other. Every read goes into the same buffer.
 */
export class StackedMatrix implements WeightSource {
  /** Of all checkpoints. */
  readonly layerCount: number
  /** How many checkpoints there are, with as many layers each. */
  readonly checkpoints: number
  readonly rows: number
  readonly width: number
  readonly precision: Precision
  private readonly slot: Slot
  private readonly all: readonly Checkpoint[]
  private readonly alignment: Alignment | null
  private buffer: Float32Array | null = null

  /**
   * @param options.also Further checkpoints.
   * @param options.alignment Where it is given, matrices are read in the order that all layers share. It is the first
   *   checkpoint's: training moves no neuron to another place, so that the others' layers are in the order of its own.
   */
  constructor(
    checkpoint: Checkpoint,
    readonly weightType: string,
    options: {
      readonly also?: readonly Checkpoint[] | undefined
      readonly alignment?: Alignment | null | undefined
    } = {},
  ) {
    const { also = [], alignment = null } = options
    this.all = [checkpoint, ...also]
    this.alignment = alignment
    this.slot = checkpoint.slot(weightType)
    this.checkpoints = this.all.length
    this.layerCount = this.checkpoints * checkpoint.config.numHiddenLayers
    const [rows = 0, width = 0] = this.slot.weight.shape
    this.rows = rows
    this.width = width
    const layers = Array.from({ length: this.layerCount }, (_, layer) => layer)
    const isHalf = layers.every((layer) => HALF.has(this.tensorOf(layer)?.dtype ?? ''))
    this.precision = isHalf ? 'int16' : 'float32'
  }

  /** Of the stored elements: of the given layers, or of all. Layers may differ. */
  dtypes(layers?: readonly number[]): string[] {
    const asked = layers ?? Array.from({ length: this.layerCount }, (_, layer) => layer)
    return asked.map((layer) => this.tensorOf(layer)?.dtype ?? '')
  }

  /** The tensor that holds the layer's matrix, alone or with others. */
  nameOf(layer: number): string {
    const place = this.placeOf(layer)
    return place.checkpoint.layerTensorName(place.layer, this.slot.weight.tensor)
  }

  private placeOf(layer: number): Place {
    const own = this.layerCount / this.checkpoints
    const checkpoint = this.all[Math.floor(layer / own)]
    if (checkpoint) return { checkpoint, layer: layer % own }
    throw new AppError('bug', `There is no layer ${layer} among ${this.layerCount}.`)
  }

  async read(layer: number): Promise<Float32Array> {
    const { offset } = this.slot.weight
    const size = this.rows * this.width
    this.buffer ??= new Float32Array(size)
    const place = this.placeOf(layer)
    const values = await place.checkpoint.readFloat32(this.nameOf(layer), {
      elements: [offset, offset + size],
      into: this.buffer,
    })
    return this.alignment?.align(values, this.width, this.weightType, place.layer) ?? values
  }

  /**
   * Finds the tensor that made a computation fail.
   *
   * @throws AppError `numeric_failure` naming the first tensor that holds NaN or an infinity, if one does.
   */
  async refuseNonFinite(): Promise<void> {
    for (let layer = 0; layer < this.layerCount; layer += 1) {
      const values = await this.read(layer)
      const at = values.findIndex((value) => !Number.isFinite(value))
      if (at === -1) continue
      const tensor = this.nameOf(layer)
      const info = this.tensorOf(layer)
      const place = this.slot.weight.offset + at
      throw new AppError(
        'numeric_failure',
        `The tensor "${tensor}" holds a value that is not finite.`,
        {
          hint: 'The checkpoint is damaged: such a model computes nothing useful either.',
          context: {
            ...(info ? { file: info.file } : {}),
            tensor,
            expected: 'finite weights',
            actual: `${values[at]} at row ${Math.floor(place / this.width)}, column ${place % this.width}`,
          },
        },
      )
    }
  }

  private tensorOf(layer: number): TensorInfo | undefined {
    return this.placeOf(layer).checkpoint.tensors.get(this.nameOf(layer))
  }
}
