import { Graph, type Value } from '../../onnx/graph'
import type { AdamWSettings } from '../../training/adamw'
import type { ParameterGroup } from '../../training/parameters'
import {
  outputTrainingSteps,
  productByBlocks,
  type StepParameters,
} from '../../training/trainingSteps'
import type { Precision } from '../decomposition/CoordinateStore'
import { afterFirstLayer, predictorLoss } from './predictor'

/** The tensors that hold the samples' rows. */
export interface SampleTensors {
  readonly precision: Precision
  /** Columns of each of them; together the width. */
  readonly slabs: readonly number[]
}

/**
 * Many steps of a predictor's training (`outputTrainingSteps`) whose samples are picked in the graph.
 *
 * Inputs besides the optimiser's: `rows.0`, `rows.1`, … `[rows, slab]`, row k of them to be multiplied by `scales[k]`, from
 * which each step picks its samples by the int32 tables `left`, `right` (both neighbours) and `target`, `[steps, batch]`.
 */
export function trainingGraph(
  groups: readonly ParameterGroup[],
  samples: SampleTensors,
  lambda: number,
  settings: AdamWSettings,
): Graph {
  const g = new Graph()
  const rows = samples.slabs.map((columns, index) =>
    g.input(`rows.${index}`, ['rows', columns], samples.precision),
  )
  const scales = g.input('scales', ['rows'])
  const [left, right, target] = (['left', 'right', 'target'] as const).map((name) =>
    g.input(name, ['steps', 'batch'], 'int32'),
  ) as [Value, Value, Value]
  outputTrainingSteps(g, {
    groups,
    settings,
    loss: (b, iteration, parameters) => {
      const pick = (table: Value): Picked => {
        const places = b.gather(table, iteration)
        const stored = rows.map((slab) => b.gather(slab, places))
        return { stored: b.concat(stored, 1), scale: b.unsqueeze(b.gather(scales, places), [1]) }
      }
      const predicted = forward(b, parameters, pick(left), pick(right))
      const truth = pick(target)
      let column = 0
      const targets = predicted.map((block) => {
        const own = columnsOf(b, truth, column, (column += Number(block.shape[1])))
        return b.mul(own, truth.scale)
      })
      return predictorLoss(b, predicted, targets, lambda)
    },
  })
  return g
}

/** Rows as they are stored, `[batch, width]`, and what each is to be multiplied by, `[batch, 1]`. */
interface Picked {
  readonly stored: Value
  readonly scale: Value
}

/** Columns `start … end − 1`, not yet scaled: cut while they are small, and only where they are not all. */
function columnsOf(b: Graph, { stored }: Picked, start: number, end: number): Value {
  const isAll = start === 0 && end === stored.shape[1]
  return b.cast(isAll ? stored : b.slice(stored, 1, start, end), 'float32')
}

/** The predictor's forward pass by blocks of its weights; what it predicts in blocks of columns. */
function forward(
  b: Graph,
  { whole, blocks }: StepParameters,
  left: Picked,
  right: Picked,
): Value[] {
  const sides = [left, right].map((picked, side) => {
    const product = productByBlocks(b, blocks('fc1.weight', side), (start, end) =>
      columnsOf(b, picked, start, end),
    )
    // Scaling the product takes less than scaling the rows.
    return b.mul(product, picked.scale)
  })
  const later = {
    'fc2.weight': whole('fc2.weight'),
    'fc2.bias': whole('fc2.bias'),
    'fc3.weight': blocks('fc3.weight').map(({ value }) => value),
    'fc3.bias': whole('fc3.bias'),
  }
  const first = b.add(b.add(sides[0]!, sides[1]!), whole('fc1.bias'))
  return afterFirstLayer(b, later, first)
}
