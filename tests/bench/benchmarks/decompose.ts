import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { MatricesTask } from '../child'
import { numberOf, runChild, runReference, takeTurns, type Report } from '../lib/measure'
import type { BenchContext, Benchmark, Goal, Part } from '../lib/types'

const LAYERS = 22
const COLUMNS = 2048

/** Float32 on both sides: the leading singular values agree far better than this. */
const TOLERANCE = 1e-3

export function decomposeBenchmark(rows: number, repeats: number, goal: Goal): Benchmark {
  return {
    name: `decompose-${rows}`,
    description:
      `the engine's decomposition of [${rows}, ${LAYERS * COLUMNS}], ${LAYERS} layers read as BF16 from a file in ` +
      'the page cache, against torch.linalg.svd(full_matrices=False) of the same float32 matrix in memory (its ' +
      'reading not counted)',
    run: (context) => run(context, rows, repeats, goal),
  }
}

async function run(
  context: BenchContext,
  rows: number,
  repeats: number,
  goal: Goal,
): Promise<Part[]> {
  const { quick, work, python, say } = context
  const file = join(work, 'matrices.bin')
  const name = `decompose-${rows}`
  const task: MatricesTask = quick
    ? { file, layers: 4, rows: rows >> 5, columns: COLUMNS >> 5 }
    : { file, layers: LAYERS, rows, columns: COLUMNS }
  say(`${name}: writing matrices`)
  await runChild(context, 'matrices', task)
  const values: { ours?: number[]; reference?: number[] } = {}
  const sides = await takeTurns(
    context,
    name,
    {
      ours: async () => {
        const { report, peakBytes } = await runChild(context, 'decompose', task)
        values.ours = singularValues(report)
        return { value: numberOf(report, 'seconds'), peakBytes }
      },
      reference:
        python === null
          ? null
          : async () => {
              const { report, peakBytes } = await runReference(
                context,
                python,
                'decompose.py',
                task,
              )
              values.reference = singularValues(report)
              return { value: numberOf(report, 'seconds'), peakBytes }
            },
    },
    repeats,
  )
  await rm(file)
  requireAgreement(values)
  return [{ name, unit: 's', ...sides, goal }]
}

function singularValues({ singularValues: values }: Report): number[] {
  if (Array.isArray(values) && values.length > 0) return values.map(Number)
  throw new Error('The report has no singular values.')
}

/** A fast wrong answer is none. */
function requireAgreement({ ours = [], reference }: { ours?: number[]; reference?: number[] }) {
  reference?.forEach((value, index) => {
    const mine = ours[index] ?? NaN
    if (Math.abs(mine - value) <= TOLERANCE * value) return
    throw new Error(`Singular value ${index} is ${mine}, the reference has ${value}.`)
  })
}
