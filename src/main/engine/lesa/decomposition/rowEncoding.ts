/** @file Graphs that put rows into the form in which a {@link CoordinateStore} keeps them. */
import { AppError } from '@shared/errors'
import { Graph, type Value } from '../../onnx/graph'
import type { Feeds, Kernel, Results, Runtime } from '../../onnx/Runtime'
import { INT16_MAX, type CoordinateStore, type Precision } from './CoordinateStore'

/** No step is smaller, so that a row of zeros has one too; float32's smallest normal number is 1.2e-38. */
const LEAST_STEP = 1e-37

/**
 * Adds the outputs `stored` `[r, width]`, in a store's form, `scales` `[r]` and `squares` `[r]`, each row's Σ x².
 *
 * @param rows `[r, width]`
 */
export function outputStoredRows(g: Graph, rows: Value, precision: Precision): void {
  const squares = g.sumSquares(rows, [1])
  if (precision === 'float32') {
    g.output('stored', rows)
    g.output('scales', g.expandLike(g.scalar(1), squares))
  } else {
    const most = g.max(g.reduceMax(rows, [1]), g.neg(g.reduceMin(rows, [1])))
    const steps = g.max(g.mul(most, 1 / INT16_MAX), LEAST_STEP)
    g.output('stored', g.quantizeRows(rows, steps))
    g.output('scales', steps)
  }
  g.output('squares', squares)
}

/**
 * Has a graph with {@link outputStoredRows} compute `count` rows of a layer, from `first` on, into a store.
 *
 * @returns Σ x² of each.
 * @throws AppError `numeric_failure` for values that are not finite.
 */
export async function computeInto(
  runtime: Runtime,
  store: CoordinateStore,
  place: { readonly layer: number; readonly first: number; readonly count: number },
  run: (into: Feeds) => Promise<Results>,
): Promise<Float32Array> {
  const { layer, first, count } = place
  const rows = store.place(layer, first, count)
  const results = await run({ stored: runtime.stored(rows, [count, store.width]) })
  const squares = results.floats('squares')
  if (!squares.every(Number.isFinite)) {
    throw new AppError('numeric_failure', 'A coordinate is not finite.')
  }
  store.write(layer, first, rows, results.floats('scales'))
  return squares
}

/** Puts rows that are there already into a store. */
export class RowEncoder {
  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    private readonly store: CoordinateStore,
  ) {}

  static async create(runtime: Runtime, store: CoordinateStore): Promise<RowEncoder> {
    const g = new Graph()
    outputStoredRows(g, g.input('rows', ['r', store.width]), store.precision)
    return new RowEncoder(runtime, await runtime.compile(g, { keepsMemory: false }), store)
  }

  /**
   * Writes `rows`, `[count, width]`, to a layer from row `first` on.
   *
   * @throws AppError `numeric_failure` for values that are not finite.
   */
  async write(layer: number, first: number, rows: Float32Array): Promise<void> {
    const { runtime, kernel, store } = this
    const count = rows.length / store.width
    const feeds = { rows: runtime.float32(rows, [count, store.width]) }
    await computeInto(runtime, store, { layer, first, count }, (into) => kernel.run(feeds, into))
  }

  dispose(): Promise<void> {
    return this.kernel.dispose()
  }
}
