import { Graph } from '../../onnx/graph'
import { floats } from '../../onnx/hostMemory'
import type { Kernel, Runtime, Tensor } from '../../onnx/Runtime'
import {
  PARAMETER_NAMES,
  parameterDims,
  predictorForward,
  type PredictorShape,
  type PredictorValues,
  type PredictorWeights,
} from './predictor'

/** Rows predicted in one run: enough for fast products, and its results are copied. */
const ROWS_A_RUN = 1024

/** Fills `into` with a layer's rows from `first` on. */
export type RowReader = (first: number, into: Float32Array) => void

/** A trained predictor ready to predict rows from their two neighbours. */
export class PredictorKernel {
  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    private readonly parameters: Readonly<Record<string, Tensor>>,
    private readonly width: number,
  ) {}

  static async create(
    runtime: Runtime,
    shape: PredictorShape,
    weights: PredictorWeights,
  ): Promise<PredictorKernel> {
    const g = new Graph()
    const dims = parameterDims(shape)
    const values = Object.fromEntries(
      PARAMETER_NAMES.map((name) => [name, g.input(name, dims[name])]),
    ) as PredictorValues
    const left = g.input('left', ['n', shape.width])
    const right = g.input('right', ['n', shape.width])
    g.output('predicted', predictorForward(g, values, g.concat([left, right], 1)))
    const kernel = await runtime.compile(g, { keepsMemory: false })
    const parameters: Record<string, Tensor> = {}
    for (const name of PARAMETER_NAMES) {
      parameters[name] = await runtime.upload(weights[name], dims[name])
    }
    return new PredictorKernel(runtime, kernel, parameters, shape.width)
  }

  /** Predicts `count` rows, `[count, width]`, from the left and right neighbours' rows. */
  async predict(count: number, left: RowReader, right: RowReader): Promise<Float32Array> {
    const { runtime, width } = this
    const predicted = floats(count * width)
    const most = Math.min(ROWS_A_RUN, count) * width
    const [leftRows, rightRows] = [floats(most), floats(most)]
    for (let first = 0; first < count; first += ROWS_A_RUN) {
      const rows = Math.min(ROWS_A_RUN, count - first)
      const filled = (read: RowReader, buffer: Float32Array): Tensor => {
        const part = buffer.subarray(0, rows * width)
        read(first, part)
        return runtime.float32(part, [rows, width])
      }
      await this.kernel.run(
        { ...this.parameters, left: filled(left, leftRows), right: filled(right, rightRows) },
        { predicted: runtime.rows(predicted, width, first, rows) },
      )
    }
    return predicted
  }

  async dispose(): Promise<void> {
    for (const tensor of Object.values(this.parameters)) this.runtime.release(tensor)
    await this.kernel.dispose()
  }
}
