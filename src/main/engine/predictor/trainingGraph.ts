import { adamw, type AdamWSettings, type AdamWState } from '../onnx/adamw'
import type { Precision } from '../decomposition/CoordinateStore'
import { gradients } from '../onnx/gradients'
import { Graph, type Value } from '../onnx/graph'
import {
  PARAMETER_NAMES,
  parameterDims,
  predictorForward,
  predictorLoss,
  type ParameterName,
  type PredictorShape,
  type PredictorValues,
} from './predictor'

/** Parameters up to this size share one flat tensor: an optimiser step costs a dozen operators however small. */
const PACK_LIMIT = 65_536

/** Parameters that the optimiser treats as one tensor. */
export interface ParameterGroup {
  readonly name: string
  readonly members: readonly {
    readonly name: ParameterName
    readonly dims: readonly number[]
    readonly size: number
  }[]
  readonly size: number
}

/** The optimiser's groups: one for all small parameters, one for each large one. */
export function parameterGroups(shape: PredictorShape): ParameterGroup[] {
  const dims = parameterDims(shape)
  const members = PARAMETER_NAMES.map((name) => ({
    name,
    dims: dims[name],
    size: dims[name].reduce((product, dim) => product * dim, 1),
  }))
  const small = members.filter(({ size }) => size <= PACK_LIMIT)
  const groups = members
    .filter(({ size }) => size > PACK_LIMIT)
    .map((member) => ({ name: member.name, members: [member], size: member.size }))
  return [
    ...groups,
    { name: 'small', members: small, size: small.reduce((sum, { size }) => sum + size, 0) },
  ]
}

/** The tensors that hold the samples' rows. */
export interface SampleTensors {
  readonly precision: Precision
  /** Columns of each of them; together the width. */
  readonly slabs: readonly number[]
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
  samples: SampleTensors,
  lambda: number,
  settings: AdamWSettings,
): Graph {
  const g = new Graph()
  const groups = parameterGroups(shape)
  const steps = g.input('steps', [], 'int64')
  const rows = samples.slabs.map((columns, index) =>
    g.input(`rows.${index}`, ['rows', columns], samples.precision),
  )
  const scales = g.input('scales', ['rows'])
  const [left, right, target] = (['left', 'right', 'target'] as const).map((name) =>
    g.input(name, ['steps', 'batch'], 'int32'),
  ) as [Value, Value, Value]
  const schedule = g.input('schedule', ['steps', 2])
  const parts = ['value', 'first', 'second'] as const
  const state = groups.flatMap((group) =>
    parts.map((part) => g.input(`${group.name}.${part}`, [group.size])),
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
      const views = unpack(b, groups, optimiser)
      const pick = (...tables: Value[]): Value => {
        const parts = tables.flatMap((table) => {
          const places = b.gather(table, step)
          const scale = b.unsqueeze(b.gather(scales, places), [1])
          return rows.map((slab) => b.mul(b.cast(b.gather(slab, places), 'float32'), scale))
        })
        return b.concat(parts, 1)
      }
      const predicted = predictorForward(b, views, pick(left, right))
      const loss = predictorLoss(b, predicted, pick(target), lambda)
      const slopes = gradients(
        b,
        loss,
        PARAMETER_NAMES.map((name) => views[name]),
      )
      const slopeOf = (name: ParameterName): Value => slopes[PARAMETER_NAMES.indexOf(name)]!
      const now = b.gather(schedule, step)
      const scalars = { scale: b.slice(now, 0, 0, 1), offset: b.slice(now, 0, 1, 2) }
      const next = groups.flatMap((group, index) => {
        const flatSlopes = group.members.map(({ name, size }) => b.reshape(slopeOf(name), [size]))
        const updated = adamw(b, optimiser[index]!, b.concat(flatSlopes, 0), scalars, settings)
        return [updated.value, updated.first, updated.second]
      })
      return { state: next, scans: [loss] }
    },
  })
  stateNames(groups).forEach((name, index) => g.output(`${name}.next`, loop.state[index]!))
  g.output('loss', loop.scans[0]!)
  return g
}

/** `fc1.weight.value`, `fc1.weight.first`, … in the order of the graph's inputs. */
export function stateNames(groups: readonly ParameterGroup[]): string[] {
  return groups.flatMap(({ name }) => [`${name}.value`, `${name}.first`, `${name}.second`])
}

/** Each parameter as a view of its group's flat tensor. */
function unpack(
  b: Graph,
  groups: readonly ParameterGroup[],
  states: readonly AdamWState[],
): PredictorValues {
  const views: Partial<Record<ParameterName, Value>> = {}
  groups.forEach((group, index) => {
    let start = 0
    for (const { name, dims, size } of group.members) {
      const flat = states[index]!.value
      const part = group.members.length === 1 ? flat : b.slice(flat, 0, start, start + size)
      views[name] = b.reshape(part, dims)
      start += size
    }
  })
  return views as PredictorValues
}
