import type { TrainTask } from '../child'
import { numberOf, runChild, runReference, takeTurns } from '../lib/measure'
import type { Benchmark, Goal } from '../lib/types'

/** Steps for some ten seconds on two cores. */
const STEPS: Readonly<Record<number, number>> = { 128: 8000, 2048: 1200, 5632: 400 }

/** Rows of a layer: those of the weight type that has this width in the models the widths come from. */
const RANKS: Readonly<Record<number, number>> = { 128: 128, 2048: 2048, 5632: 2048 }

export function trainBenchmark(width: number, repeats: number, goal: Goal): Benchmark {
  const name = `train-${width}`
  return {
    name,
    description:
      `steps of predictor training at batch 64, ${2 * width} → 256 → 256 → ${width}, gathering of samples and AdamW ` +
      'included, against the same in PyTorch',
    run: async (context) => {
      const { quick, python } = context
      const steps = STEPS[width] ?? 400
      const task: TrainTask = quick
        ? { width: Math.min(width, 128), rank: 32, layers: 4, warmup: 16, steps: 64 }
        : { width, rank: RANKS[width] ?? width, layers: 22, warmup: Math.ceil(steps / 8), steps }
      const sides = await takeTurns(
        context,
        name,
        {
          ours: async () => {
            const { report, peakBytes } = await runChild(context, 'train', task)
            return { value: numberOf(report, 'rate'), peakBytes }
          },
          reference:
            python === null
              ? null
              : async () => {
                  const { report, peakBytes } = await runReference(
                    context,
                    python,
                    'train.py',
                    task,
                  )
                  return { value: numberOf(report, 'rate'), peakBytes }
                },
        },
        repeats,
      )
      return [{ name, unit: 'steps/s', ...sides, goal }]
    },
  }
}
