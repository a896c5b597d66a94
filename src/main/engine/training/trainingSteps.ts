import { AppError } from '@shared/errors'
import { gradients } from '../onnx/gradients'
import type { Graph, Value } from '../onnx/graph'
import { adamw, SCALARS, STATE_PARTS, type AdamWSettings, type AdamWState } from './adamw'
import type { Block, ParameterGroup } from './parameters'

/** A block as a value of the graph, in its own shape. */
export interface BlockValue extends Block {
  readonly value: Value
}

/** A step's parameters, as the optimiser's groups hold them. */
export interface StepParameters {
  /** A parameter that is a single block. */
  readonly whole: (name: string) => Value
  /** A part's blocks, in the order of their rows. */
  readonly blocks: (name: string, part?: number) => readonly BlockValue[]
}

export interface TrainingSteps {
  readonly groups: readonly ParameterGroup[]
  readonly settings: Pick<AdamWSettings, 'beta1' | 'beta2'>
  /** The gradient of all parameters together is scaled down to this norm where it is longer; otherwise it is not measured. */
  readonly maxNorm?: number
  /** The loss of a step, whose number in the run is the int64 `iteration`. */
  readonly loss: (step: Graph, iteration: Value, parameters: StepParameters) => Value
}

/**
 * Many training steps in one run: loss, gradients and AdamW inside a `Loop`, so that parameters and moments stay on the
 * device.
 *
 * Adds the inputs `steps` (int64), `schedule` `[steps, 3]` with the step's {@link SCALARS}, and for every group G the flat
 * `G.value`, `G.first` and `G.second`; the outputs are the same three of every group, named `G.value.next` and so on, and
 * `loss` `[steps]`.
 */
export function outputTrainingSteps(g: Graph, options: TrainingSteps): void {
  const { groups, settings, maxNorm } = options
  const steps = g.input('steps', [], 'int64')
  const schedule = g.input('schedule', ['steps', SCALARS.length])
  const state = groups.flatMap(({ name, size }) =>
    STATE_PARTS.map((part) => g.input(`${name}.${part}`, [size])),
  )
  const loop = g.loop({
    tripCount: steps,
    scanDim: 'steps',
    state,
    body: (b, iteration, flat) => {
      const optimiser = groups.map((_, index): AdamWState => {
        const [value, first, second] = flat.slice(3 * index, 3 * index + 3)
        return { value: value!, first: first!, second: second! }
      })
      const blocks = groups.map((group, index) => unpack(b, group, optimiser[index]!.value))
      const loss = options.loss(b, iteration, stepParameters(blocks.flat()))
      const slopes = gradients(
        b,
        loss,
        blocks.flat().map(({ value }) => value),
      )
      const now = b.gather(schedule, iteration)
      const [scale, offset, kept] = SCALARS.map((_, k) => b.slice(now, 0, k, k + 1))
      const scalars = { scale: scale!, offset: offset!, kept: kept! }
      const factor = maxNorm === undefined ? null : clippingFactor(b, slopes, maxNorm)
      const next = blocks.flatMap((own, index) => {
        const flatSlopes = own.map(({ size }) => b.reshape(slopes.shift()!, [size]))
        const slope = b.concat(flatSlopes, 0)
        const clipped = factor ? b.mul(slope, factor) : slope
        const updated = adamw(b, optimiser[index]!, clipped, scalars, settings)
        return STATE_PARTS.map((part) => updated[part])
      })
      return { state: next, scans: [loss] }
    },
  })
  stateNames(groups).forEach((name, index) => g.output(`${name}.next`, loop.state[index]!))
  g.output('loss', loop.scans[0]!)
}

/** `fc1.weight.0.value`, `fc1.weight.0.first`, … in the order of the graph's inputs. */
export function stateNames(groups: readonly ParameterGroup[]): string[] {
  return groups.flatMap(({ name }) => STATE_PARTS.map((part) => `${name}.${part}`))
}

/**
 * x·Wᵀ by the blocks of a weight W that is trained as its transpose, whose rows then belong to columns of x.
 *
 * @param columns Columns `start … end − 1` of x.
 */
export function productByBlocks(
  g: Graph,
  blocks: readonly BlockValue[],
  columns: (start: number, end: number) => Value,
): Value {
  const sum = blocks.reduce<Value | undefined>(
    (before, { start, end, value }) =>
      g.gemm(columns(start, end), value, before ? { c: before } : {}),
    undefined,
  )
  if (sum) return sum
  throw new AppError('bug', 'A product of no blocks.')
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

function stepParameters(all: readonly BlockValue[]): StepParameters {
  const blocks = (name: string, part = 0): readonly BlockValue[] =>
    all.filter((block) => block.name === name && block.part === part)
  return {
    blocks,
    whole: (name) => {
      const [only, ...others] = blocks(name)
      if (only && others.length === 0) return only.value
      throw new AppError('bug', `${name} is not one block.`)
    },
  }
}

/** What takes gradients to a norm, of all together, of at most `most`: exactly 1 where they are shorter. */
function clippingFactor(g: Graph, slopes: readonly Value[], most: number): Value {
  const squares = slopes.map((slope) => g.sumSquares(slope)).reduce((a, b) => g.add(a, b))
  return g.div(g.scalar(most), g.max(g.sqrt(squares), most))
}
