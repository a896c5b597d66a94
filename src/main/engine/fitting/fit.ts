/** @file A round of fitting: directions for all blocks from one forward and one backward pass, and the step along them. */
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { readFloatTensors, writeFloatTensors } from '../checkpoint/floatTensors'
import type { Tensor } from '../onnx/Runtime'
import { collectSums, directionOf } from './direction'
import { OUTPUT_SLOTS, type OutputSlot } from './graphs'
import { chooseStep, type StepChoice } from './stepSize'
import type { Block, BlockOutputs, MicroBatch, StackEntry, StreamedModel } from './StreamedModel'

export interface RoundMaterial {
  /** Windows that the direction is computed on. */
  readonly fit: readonly Int32Array[]
  /** Others, that the step is chosen on. */
  readonly search: readonly Int32Array[]
}

export interface Round extends StepChoice {
  /** Mean nll of the fitted windows before the step, in nats, and the tokens that it is of. */
  readonly loss: number
  readonly tokens: number
}

const fileOf = (folder: string, block: number): string => join(folder, `block-${block}.safetensors`)

/** Keeps a block's output matrices in a folder. */
export async function writeOutputs(
  folder: string,
  block: number,
  outputs: BlockOutputs,
  rows: number,
): Promise<void> {
  await writeFloatTensors(
    fileOf(folder, block),
    OUTPUT_SLOTS.map((name) => ({
      name,
      shape: [rows, outputs[name].length / rows],
      values: outputs[name],
    })),
  )
}

/** What {@link writeOutputs} wrote. */
export async function readOutputs(folder: string, block: number): Promise<BlockOutputs> {
  const file = fileOf(folder, block)
  const { tensors } = await readFloatTensors(file)
  const of = (slot: OutputSlot): Float32Array => {
    const found = tensors.get(slot)
    if (found) return found.values
    throw new AppError('damaged_file', `${file} lacks ${slot}.`, {
      context: {
        file,
        tensor: slot,
        expected: OUTPUT_SLOTS.join(', '),
        actual: [...tensors.keys()].join(', '),
      },
    })
  }
  return { o_proj: of('o_proj'), down_proj: of('down_proj') }
}

/** A block's outputs a step along its direction; `null` where that is zero. */
function moved(
  before: Block['outputs'],
  direction: () => Promise<BlockOutputs>,
  step: number,
): Block['outputs'] {
  if (step === 0) return before
  return async () => {
    const [old, by] = [await before?.(), await direction()]
    const sum = (slot: OutputSlot): Float32Array =>
      by[slot].map((value, index) => (old?.[slot][index] ?? 0) + step * value)
    return { o_proj: sum('o_proj'), down_proj: sum('down_proj') }
  }
}

/**
 * Writes the directions of all blocks into a folder; yields its share of the work.
 *
 * @returns The loss on the windows, before any step, and how many tokens it is of.
 */
export async function* findDirections(
  model: StreamedModel,
  windows: readonly Int32Array[],
  blocks: readonly Block[],
  folder: string,
): AsyncGenerator<number, { readonly loss: number; readonly tokens: number }> {
  const micros = model.microBatches(windows)
  const [below, above] = splitStack(model.stackOf(blocks))
  const start = yield* model.forward(await model.embed(micros), below, blocks)
  const kept = model.keptStates()
  const final = yield* model.forward(start, above, blocks, kept)
  const { loss, slopes } = yield* model.slopesAtEnd(micros, final)
  const tokens = micros.reduce(
    (sum, { targets }) => sum + targets.filter((target) => target >= 0).length,
    0,
  )
  refuseNonFinite(model, loss)
  yield* model.backward({ final, slopes }, above, blocks, kept, async function* (visited) {
    const { statistics, below: passed } = yield* collectSums(model, visited)
    const direction = await directionOf(model, statistics, tokens)
    statistics.release()
    if (!direction.o_proj.every(Number.isFinite) || !direction.down_proj.every(Number.isFinite)) {
      refuseNonFinite(model, NaN)
    }
    await writeOutputs(folder, visited.block, direction, model.checkpoint.config.hiddenSize)
    yield 4
    return passed
  })
  return { loss: loss / tokens, tokens }
}

/**
 * Mean nll of windows with blocks in the model, at each of some steps: what is below the first block is run once.
 */
export async function measurer(
  model: StreamedModel,
  windows: readonly Int32Array[],
  blocks: readonly Pick<Block, 'layer'>[],
): Promise<(given: readonly Block[]) => AsyncGenerator<number, WindowLosses>> {
  const micros = model.microBatches(windows)
  const [below, above] = splitStack(model.stackOf(blocks))
  const embedded = await model.embed(micros)
  let start: readonly Tensor[] | null = null
  return async function* (given) {
    start ??= yield* model.forward(embedded, below, [])
    const final = yield* model.forward(start, above, given)
    const losses = yield* lossesOf(model, micros, final)
    if (final !== start) for (const each of final) model.pool.give(each)
    return losses
  }
}

/** Σ nll of each window, in nats, and the tokens predicted in each. */
export interface WindowLosses {
  readonly sums: readonly number[]
  readonly tokensOfWindow: number
}

export const meanOf = ({ sums, tokensOfWindow }: WindowLosses): number =>
  sums.reduce((a, b) => a + b, 0) / (sums.length * tokensOfWindow)

export async function* lossesOf(
  model: StreamedModel,
  micros: readonly MicroBatch[],
  final: readonly Tensor[],
): AsyncGenerator<number, WindowLosses> {
  const { sums } = yield* model.score(micros, final)
  return { sums, tokensOfWindow: model.context - 1 }
}

/**
 * One round. `blocks` are as the rounds before left them.
 *
 * @param folder For the directions, and afterwards for the new outputs of all blocks; nothing is there when no step helps.
 * @param first Where the search for the step begins.
 */
export async function* fitRound(
  model: StreamedModel,
  { fit, search }: RoundMaterial,
  blocks: readonly Block[],
  {
    directions,
    outputs,
    first,
  }: { readonly directions: string; readonly outputs: string; readonly first: number },
): AsyncGenerator<number, Round> {
  const { loss, tokens } = yield* findDirections(model, fit, blocks, directions)
  const at = (step: number): Block[] =>
    blocks.map(({ layer, outputs: before }, block) => ({
      layer,
      outputs: moved(before, () => readOutputs(directions, block), step),
    }))
  const measure = await measurer(model, search, blocks)
  const choice = yield* chooseStep(async function* (step: number): AsyncGenerator<number, number> {
    return meanOf(yield* tolerant(measure(at(step))))
  }, first)
  if (choice.step > 0) {
    for (const [block, { outputs: after }] of at(choice.step).entries()) {
      await writeOutputs(outputs, block, (await after?.())!, model.checkpoint.config.hiddenSize)
      await model.pause()
    }
  }
  return { ...choice, loss, tokens }
}

/** A step that is far too long may overflow: it counts as one that does not help. */
export async function* tolerant(
  measured: AsyncGenerator<number, WindowLosses>,
): AsyncGenerator<number, WindowLosses> {
  try {
    return yield* measured
  } catch (error) {
    if (error instanceof AppError && error.code === 'numeric_failure') {
      return { sums: [Infinity], tokensOfWindow: 1 }
    }
    throw error
  }
}

/** What lies below the first block, and the rest. */
export function splitStack(
  entries: readonly StackEntry[],
): readonly [below: readonly StackEntry[], above: readonly StackEntry[]] {
  const first = entries.findIndex(({ block }) => block !== null)
  const place = first < 0 ? entries.length : first
  return [entries.slice(0, place), entries.slice(place)]
}

function refuseNonFinite(model: StreamedModel, loss: number): void {
  if (Number.isFinite(loss)) return
  throw new AppError(
    'numeric_failure',
    'The loss on the calibration text, or its slope, is not finite.',
    {
      hint: 'Look at the model’s weights: they may hold infinities, or be far too large.',
      context: { file: model.checkpoint.path, device: model.runtime.device, actual: String(loss) },
    },
  )
}
