import { AppError } from '@shared/errors'
import type { WeightType } from '@shared/weightTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'
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
  private buffer: Float32Array | null = null

  constructor(
    private readonly checkpoint: Checkpoint,
    readonly weightType: WeightType,
  ) {
    this.layerCount = checkpoint.config.numHiddenLayers
    const [rows = 0, width = 0] = checkpoint.tensors.get(this.nameOf(0))?.shape ?? []
    this.rows = rows
    this.width = width
    const names = Array.from({ length: this.layerCount }, (_, layer) => this.nameOf(layer))
    const isHalf = names.every((name) => HALF.has(checkpoint.tensors.get(name)?.dtype ?? ''))
    this.precision = isHalf ? 'int16' : 'float32'
  }

  nameOf(layer: number): string {
    const { architecture } = this.checkpoint
    return this.checkpoint.layerTensorName(layer, `${architecture.weights[this.weightType]}.weight`)
  }

  read(layer: number): Promise<Float32Array> {
    this.buffer ??= new Float32Array(this.rows * this.width)
    return this.checkpoint.readFloat32(this.nameOf(layer), { into: this.buffer })
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
      const info = this.checkpoint.tensors.get(tensor)
      throw new AppError(
        'numeric_failure',
        `The tensor "${tensor}" holds a value that is not finite.`,
        {
          hint: 'The checkpoint is damaged: such a model computes nothing useful either.',
          context: {
            ...(info ? { file: info.file } : {}),
            tensor,
            expected: 'finite weights',
            actual: `${values[at]} at row ${Math.floor(at / this.width)}, column ${at % this.width}`,
          },
        },
      )
    }
  }
}
