/** @file The direction in which a block's output matrices lower the loss most for their size, from one backward pass. */
import type { Tensor } from '../onnx/Runtime'
import { LAYER_IO, shapeKey } from '../decoder/decoderLayer'
import { SLOPE_IO } from '../pretraining/graphs'
import {
  buildBlockStatistics,
  buildSolve,
  identityInputs,
  OUTPUT_SLOTS,
  SOLVE_IO,
  sumBefore,
  sumOf,
  sumsOf,
  traceOf,
  type OutputSlot,
  type SumName,
} from './graphs'
import type { BlockOutputs, StreamedModel, VisitedBlock } from './StreamedModel'

/** How far both factors are damped, as shares of their mean eigenvalues: what did well on every model and text tried. */
export const DAMPING = { features: 1, slopes: 1 } as const
/** After as many a solution is the exact one to four digits and more; a start is as good after four. */
export const SOLVER_ITERATIONS = 16

/** Sums over tokens, by slot, and the traces of those that are symmetric. */
export interface BlockSums {
  readonly sums: Readonly<Record<OutputSlot, Readonly<Record<SumName, Tensor>>>>
  readonly traces: Readonly<
    Record<OutputSlot, { readonly features: number; readonly slopes: number }>
  >
  release(): void
}

/**
 * Sums up a block's statistics over the micro-batches of a backward pass ({@link buildBlockStatistics}); yields 2 after
 * each.
 *
 * @returns The slopes at the block's input as well, `null` where it passes its input on.
 */
export async function* collectSums(
  model: StreamedModel,
  { layer, outputs, inputs, slopes }: VisitedBlock,
): AsyncGenerator<number, { readonly statistics: BlockSums; readonly below: Tensor[] | null }> {
  const { checkpoint, runtime, kernels, compile } = model
  const isIdentity = outputs === null
  const shape = model.shapeOf(layer.layer)
  const names = OUTPUT_SLOTS.flatMap((slot) =>
    sumsOf(slot, isIdentity).map((name) => ({ slot, name, output: sumOf(slot, name) })),
  )
  const own = await model.withOutputs(layer, outputs)
  const weights = isIdentity
    ? Object.fromEntries(
        identityInputs(checkpoint, layer.layer).map(
          ({ name }) => [name, own.weights[name]!] as const,
        ),
      )
    : own.weights
  let sums: Record<string, Tensor> = {}
  const traces = { o_proj: { features: 0, slopes: 0 }, down_proj: { features: 0, slopes: 0 } }
  const below: Tensor[] = []
  try {
    for (const [index, hidden] of inputs.entries()) {
      const accumulates = index > 0
      const kernel = await kernels.get(
        `statistics/${shapeKey(shape)}/${isIdentity}/${accumulates}`,
        () => buildBlockStatistics(checkpoint, shape, { isIdentity, accumulates }),
        { ...compile, resident: names.map(({ output }) => output) },
      )
      const passed = isIdentity ? {} : { [SLOPE_IO.below]: model.pool.take(hidden.dims) }
      const before = sums
      const results = await kernel.run(
        {
          ...weights,
          ...model.tables(shape),
          [LAYER_IO.input]: hidden,
          [SLOPE_IO.above]: slopes[index]!,
          ...(accumulates
            ? Object.fromEntries(
                names.map(({ slot, name, output }) => [sumBefore(slot, name), before[output]!]),
              )
            : {}),
        },
        // On the host each sum is computed where the one before it lies.
        { ...passed, ...(runtime.placement.keepsResults ? {} : before) },
      )
      sums = Object.fromEntries(names.map(({ output }) => [output, results.one(output)]))
      for (const { output } of names) {
        const old = before[output]
        if (old && old !== sums[output]) runtime.release(old)
      }
      for (const { slot, name } of names) {
        if (name !== 'gradient') traces[slot][name] += results.floats(traceOf(slot, name))[0] ?? NaN
      }
      if (!isIdentity) below.push(results.one(SLOPE_IO.below))
      yield 2
      await model.pause()
    }
  } finally {
    own.release()
  }
  if (isIdentity) traces.o_proj.slopes = traces.down_proj.slopes
  const of = (slot: OutputSlot, name: SumName): Tensor =>
    sums[sumOf(slot, name)] ?? sums[sumOf('down_proj', name)]!
  const bySlot = (slot: OutputSlot): Record<SumName, Tensor> => ({
    features: of(slot, 'features'),
    gradient: of(slot, 'gradient'),
    slopes: of(slot, 'slopes'),
  })
  return {
    statistics: {
      sums: { o_proj: bySlot('o_proj'), down_proj: bySlot('down_proj') },
      traces,
      release: () => Object.values(sums).forEach((tensor) => runtime.release(tensor)),
    },
    below: isIdentity ? null : below,
  }
}

/**
 * `Δ = −(B + μ·tr(B)/d_out·I)⁻¹ G (A + λ·tr(A)/d_in·I)⁻¹` for both output matrices, with A = Σ f fᵀ / n, G = Σ g fᵀ / n and
 * B = Σ g gᵀ / n over n tokens: one step of K-FAC (Martens & Grosse, 2015) from zero.
 *
 * @param tokens That are predicted: n.
 */
export async function directionOf(
  model: StreamedModel,
  { sums, traces }: BlockSums,
  tokens: number,
  iterations = SOLVER_ITERATIONS,
): Promise<BlockOutputs> {
  const { runtime, kernels, compile } = model
  const solve = async (
    matrix: Tensor,
    right: Tensor,
    side: 'rows' | 'columns',
    scalars: { readonly damping: number; readonly factor: number },
  ): Promise<Tensor> => {
    const size = matrix.dims[0] ?? 0
    const others = (side === 'rows' ? right.dims[0] : right.dims[1]) ?? 0
    const kernel = await kernels.get(
      `solve/${size}/${others}/${side}/${iterations}`,
      () => buildSolve(size, others, side, iterations),
      { ...compile, keepsMemory: false, resident: [SOLVE_IO.solution] },
    )
    const scalar = (value: number): Tensor => runtime.float32(Float32Array.of(value), [1])
    const results = await kernel.run({
      [SOLVE_IO.matrix]: matrix,
      [SOLVE_IO.right]: right,
      [SOLVE_IO.damping]: scalar(scalars.damping),
      [SOLVE_IO.factor]: scalar(scalars.factor),
    })
    return results.one(SOLVE_IO.solution)
  }
  const found: Partial<Record<OutputSlot, Float32Array>> = {}
  for (const slot of OUTPUT_SLOTS) {
    const { features, gradient, slopes } = sums[slot]
    const damping = (name: 'features' | 'slopes'): number =>
      (DAMPING[name] * traces[slot][name]) / (sums[slot][name].dims[0] ?? 1)
    const right = await solve(features, gradient, 'rows', {
      damping: damping('features'),
      factor: 1,
    })
    // The sums are n times A, G and B, so that a factor of n is left.
    const both = await solve(slopes, right, 'columns', {
      damping: damping('slopes'),
      factor: -tokens,
    })
    runtime.release(right)
    found[slot] = Float32Array.from(await runtime.read(both))
    runtime.release(both)
    await model.pause()
  }
  return found as BlockOutputs
}
