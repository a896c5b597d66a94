import type { Precision } from '../decomposition/CoordinateStore'
import { adamw, type AdamWSettings, type AdamWState } from '../../onnx/adamw'
import { gradients } from '../../onnx/gradients'
import { Graph, type Value } from '../../onnx/graph'
import type { Block, ParameterGroup } from './parameterGroups'
import {
  afterFirstLayer,
  predictorLoss,
  type ParameterName,
  type PredictorShape,
} from './predictor'

/** The tensors that hold the samples' rows. */
export interface SampleTensors {
  readonly precision: Precision
  /** Columns of each of them; together the width. */
  readonly slabs: readonly number[]
}

const PARTS = ['value', 'first', 'second'] as const

/** A block as a value of the graph, in its own shape. */
interface BlockValue extends Block {
  readonly value: Value
}

/**
 * Many training steps in one run: forward pass, loss, gradients and AdamW inside a `Loop`, so that parameters and
 * moments stay on the device.
 *
 * Inputs: `steps` (int64); `rows.0`, `rows.1`, … `[rows, slab]`, row k of them to be multiplied by `scales[k]`, from which
 * each step picks its samples by the int32 tables `left`, `right` (both neighbours) and `target`, `[steps, batch]`;
 * `schedule` `[steps, 2]`; and for every group G the flat `G.value`, `G.first` and `G.second`. Outputs: the same three of
 * every group, named `G.value.next` and so on, and `loss` `[steps]`.
 */
export function trainingGraph(
  shape: PredictorShape,
  groups: readonly ParameterGroup[],
  samples: SampleTensors,
  lambda: number,
  settings: AdamWSettings,
): Graph {
  const g = new Graph()
  const steps = g.input('steps', [], 'int64')
  const rows = samples.slabs.map((columns, index) =>
    g.input(`rows.${index}`, ['rows', columns], samples.precision),
  )
  const scales = g.input('scales', ['rows'])
  const [left, right, target] = (['left', 'right', 'target'] as const).map((name) =>
    g.input(name, ['steps', 'batch'], 'int32'),
  ) as [Value, Value, Value]
  const schedule = g.input('schedule', ['steps', 2])
  const state = groups.flatMap(({ name, size }) =>
    PARTS.map((part) => g.input(`${name}.${part}`, [size])),
  )
  const loop = g.loop({
    tripCount: steps,
    scanDim: 'steps',
    state,
    body: (b, step, flat) => {
      const optimiser = groups.map((_, index): AdamWState => {
        const [value, first, second] = flat.slice(3 * index, 3 * index + 3)
        return { value: value!, first: first!, second: second! }
      })
      const blocks = groups.map((group, index) => unpack(b, group, optimiser[index]!.value))
      const pick = (table: Value): Picked => {
        const places = b.gather(table, step)
        const stored = rows.map((slab) => b.gather(slab, places))
        return { stored: b.concat(stored, 1), scale: b.unsqueeze(b.gather(scales, places), [1]) }
      }
      const predicted = forward(b, shape, blocks.flat(), pick(left), pick(right))
      const truth = pick(target)
      let column = 0
      const targets = predicted.map((block) => {
        const own = columnsOf(b, truth, column, (column += Number(block.shape[1])))
        return b.mul(own, truth.scale)
      })
      const loss = predictorLoss(b, predicted, targets, lambda)
      const slopes = gradients(
        b,
        loss,
        blocks.flat().map(({ value }) => value),
      )
      const now = b.gather(schedule, step)
      const scalars = { scale: b.slice(now, 0, 0, 1), offset: b.slice(now, 0, 1, 2) }
      const next = blocks.flatMap((own, index) => {
        const flatSlopes = own.map(({ size }) => b.reshape(slopes.shift()!, [size]))
        const updated = adamw(b, optimiser[index]!, b.concat(flatSlopes, 0), scalars, settings)
        return PARTS.map((part) => updated[part])
      })
      return { state: next, scans: [loss] }
    },
  })
  stateNames(groups).forEach((name, index) => g.output(`${name}.next`, loop.state[index]!))
  g.output('loss', loop.scans[0]!)
  return g
}

/** `fc1.weight.0.value`, `fc1.weight.0.first`, … in the order of the graph's inputs. */
export function stateNames(groups: readonly ParameterGroup[]): string[] {
  return groups.flatMap(({ name }) => PARTS.map((part) => `${name}.${part}`))
}

/** A group's blocks as views of its flat tensor. */
function unpack(b: Graph, { blocks }: ParameterGroup, flat: Value): BlockValue[] {
  let at = 0
  return blocks.map((block) => {
    const part = blocks.length === 1 ? flat : b.slice(flat, 0, at, at + block.size)
    at += block.size
    return { ...block, value: b.reshape(part, block.dims) }
  })
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
  { width }: PredictorShape,
  blocks: readonly BlockValue[],
  left: Picked,
  right: Picked,
): Value[] {
  const of = (name: ParameterName): readonly BlockValue[] =>
    blocks.filter((block) => block.name === name)
  const only = (name: ParameterName): Value => of(name)[0]!.value
  const sides = [left, right].map((picked, side) => {
    const own = of('fc1.weight').filter(({ start }) => Math.floor(start / width) === side)
    const sum = own.reduce<Value | undefined>((before, { start, end, value }) => {
      const x = columnsOf(b, picked, start - side * width, end - side * width)
      return b.gemm(x, value, before ? { c: before } : {})
    }, undefined)
    // Scaling the product takes less than scaling the rows.
    return b.mul(sum!, picked.scale)
  })
  const later = {
    'fc2.weight': only('fc2.weight'),
    'fc2.bias': only('fc2.bias'),
    'fc3.weight': of('fc3.weight').map(({ value }) => value),
    'fc3.bias': only('fc3.bias'),
  }
  const first = b.add(b.add(sides[0]!, sides[1]!), only('fc1.bias'))
  return afterFirstLayer(b, later, first)
}
