import { AppError } from '@shared/errors'
import type { Alignment } from '../alignment/Alignment'
import type { Slot } from '../architectures/Architecture'
import type { Checkpoint, TensorInfo } from '../checkpoint/Checkpoint'
import type { Precision } from './decomposition/CoordinateStore'
import type { WeightSource } from './decomposition/decompose'

/** Element types of 16 bits. */
const HALF: ReadonlySet<string> = new Set(['BF16', 'F16'])

/** One weight type of a checkpoint, layer by layer; every read goes into the same buffer. */
export class StackedMatrix implements WeightSource {
  readonly layerCount: number
  readonly rows: number
  readonly width: number
  readonly precision: Precision
  private readonly slot: Slot
  private buffer: Float32Array | null = null

  constructor(
    private readonly checkpoint: Checkpoint,
    readonly weightType: string,
    /** Where it is given, matrices are read in the order that all layers share. */
    private readonly alignment: Alignment | null = null,
  ) {
    this.slot = checkpoint.slot(weightType)
    this.layerCount = checkpoint.config.numHiddenLayers
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
    return this.checkpoint.layerTensorName(layer, this.slot.weight.tensor)
  }

  async read(layer: number): Promise<Float32Array> {
    const { offset } = this.slot.weight
    const size = this.rows * this.width
    this.buffer ??= new Float32Array(size)
    const values = await this.checkpoint.readFloat32(this.nameOf(layer), {
      elements: [offset, offset + size],
      into: this.buffer,
    })
    return this.alignment?.align(values, this.width, this.weightType, layer) ?? values
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
    return this.checkpoint.tensors.get(this.nameOf(layer))
  }
}
