/** @file How the optimiser sees the predictor's parameters: as a few flat tensors, which are blocks of them. */
import { AppError } from '@shared/errors'
import { transposed } from '../../lib/matrix'
import {
  emptyWeights,
  PARAMETER_NAMES,
  parameterDims,
  type ParameterName,
  type PredictorShape,
  type PredictorWeights,
} from './predictor'

/** Parameters up to this size share one flat tensor: an optimiser step costs a dozen operators however small. */
const PACK_LIMIT = 65_536

/** Blocks have a multiple of so many rows, for which products are fast. */
const BLOCK_ROWS = 64

/**
 * A block of a parameter's rows, `[end − start, …]`. The first layer's weight counts as its transpose
 * `[2·width, hidden]`: the rows of a block then belong to some columns of the input, and its gradient is the fast kind
 * of product.
 */
export interface Block {
  readonly name: ParameterName
  readonly start: number
  readonly end: number
  readonly dims: readonly number[]
  readonly size: number
}

/** Blocks that the optimiser treats as one flat tensor. */
export interface ParameterGroup {
  readonly name: string
  readonly blocks: readonly Block[]
  readonly size: number
}

/** Whether a parameter is trained as its transpose. */
const isTransposed = (name: ParameterName): boolean => name === 'fc1.weight'

/**
 * The optimiser's groups: one for all small parameters, one for each block of the weights that grow with the width.
 *
 * @param blockSize Most elements of a block: so many that the operators of a step find them in a core's cache. Infinity
 *   leaves the last layer's weight whole and cuts the first one's between both neighbours.
 */
export function parameterGroups(shape: PredictorShape, blockSize: number): ParameterGroup[] {
  const large = PARAMETER_NAMES.filter((name) => isLarge(shape, name))
  const small = PARAMETER_NAMES.filter((name) => !isLarge(shape, name))
  return [
    ...large
      .flatMap((name) => blocksOf(shape, name, blockSize))
      .map((block) => ({ name: `${block.name}.${block.start}`, blocks: [block] })),
    { name: 'small', blocks: small.flatMap((name) => blocksOf(shape, name, Infinity)) },
  ].map((group) => ({ ...group, size: group.blocks.reduce((sum, { size }) => sum + size, 0) }))
}

/** Of the weights that grow with the width, those that have become large. */
function isLarge({ width, hidden }: PredictorShape, name: ParameterName): boolean {
  const grows = name === 'fc1.weight' || name === 'fc3.weight'
  return grows && width * hidden * (name === 'fc1.weight' ? 2 : 1) > PACK_LIMIT
}

function blocksOf(shape: PredictorShape, name: ParameterName, blockSize: number): Block[] {
  const dims = parameterDims(shape)[name]
  const [rows = 1, ...rest] = isTransposed(name) ? [...dims].reverse() : dims
  const rowSize = rest[0] ?? 1
  // Blocks of the first layer's weight belong to one neighbour each.
  const part = isTransposed(name) ? shape.width : rows
  const most = Math.max(1, Math.floor(blockSize / rowSize / BLOCK_ROWS)) * BLOCK_ROWS
  const count = Math.ceil(part / most)
  const step = Math.ceil(part / count / BLOCK_ROWS) * BLOCK_ROWS
  const blocks: Block[] = []
  for (let first = 0; first < rows; first += part) {
    for (let start = first; start < first + part; start += step) {
      const end = Math.min(start + step, first + part)
      const height = end - start
      blocks.push({ name, start, end, dims: [height, ...rest], size: height * rowSize })
    }
  }
  return blocks
}

/** Every group's flat tensor, by the group's name, of these weights. */
export function packWeights(
  shape: PredictorShape,
  groups: readonly ParameterGroup[],
  weights: PredictorWeights,
): Map<string, Float32Array> {
  const laidOut = turned(weights, parameterDims(shape))
  return new Map(
    groups.map(({ name, blocks, size }) => {
      const flat = new Float32Array(size)
      let at = 0
      for (const block of blocks) {
        flat.set(elementsOf(block, laidOut), at)
        at += block.size
      }
      return [name, flat]
    }),
  )
}

/** The weights that {@link packWeights} packed. */
export function unpackWeights(
  shape: PredictorShape,
  groups: readonly ParameterGroup[],
  tensors: ReadonlyMap<string, Float32Array>,
): PredictorWeights {
  const laidOut = emptyWeights(shape)
  for (const { name, blocks } of groups) {
    const flat = tensors.get(name)
    if (!flat) throw new AppError('bug', `No parameters for ${name}.`)
    let at = 0
    for (const block of blocks) {
      elementsOf(block, laidOut).set(flat.subarray(at, at + block.size))
      at += block.size
    }
  }
  const dims = parameterDims(shape)
  return turned(laidOut, { ...dims, 'fc1.weight': [...dims['fc1.weight']].reverse() })
}

/** A block's elements among parameters that are laid out as they are trained. */
function elementsOf({ name, start, dims, size }: Block, laidOut: PredictorWeights): Float32Array {
  const first = start * (dims[1] ?? 1)
  return laidOut[name].subarray(first, first + size)
}

/** The same weights, of the given dims, with those transposed that are trained so; the others are not copied. */
function turned(
  weights: PredictorWeights,
  dims: Readonly<Record<ParameterName, readonly number[]>>,
): PredictorWeights {
  const turn = (name: ParameterName): Float32Array => {
    const [rows = 1, columns = 1] = dims[name]
    // A copy, because a square matrix is turned in place.
    return isTransposed(name) ? transposed(weights[name].slice(), rows, columns) : weights[name]
  }
  return Object.fromEntries(
    PARAMETER_NAMES.map((name) => [name, turn(name)]),
  ) as unknown as PredictorWeights
}
