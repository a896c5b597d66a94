/** @file Named parameters, and how the optimiser sees them: as a few flat tensors, which are blocks of them. */
import { AppError } from '@shared/errors'
import { transposed } from '../lib/matrix'

/** Parameters up to this size share one flat tensor: an optimiser step costs a dozen operators however small. */
const PACK_LIMIT = 65_536

/** Blocks have a multiple of so many rows, for which products are fast. */
const BLOCK_ROWS = 64

/** A parameter to be trained, and how its graph can take it. */
export interface Parameter<N extends string = string> {
  readonly name: N
  readonly dims: readonly number[]
  /** A matrix that is trained as its transpose: its gradient may then be the faster kind of product. */
  readonly isTransposed?: boolean
  /**
   * Set where the graph takes it in blocks of rows (of the transpose, if it is trained so): in how many equal parts the
   * rows come, a block belonging to one of them. Without it the parameter is a single block, packed with the small ones.
   */
  readonly parts?: number
}

/** Float32 values of every parameter, in its own layout. */
export type ParameterValues<N extends string = string> = Readonly<Record<N, Float32Array>>

/** A block of a parameter's rows as they are trained, `[end − start, …]`. */
export interface Block {
  readonly name: string
  readonly part: number
  /** Rows counted from the part's first one. */
  readonly start: number
  readonly end: number
  readonly dims: readonly number[]
  readonly size: number
  /** Of its first element in the parameter. */
  readonly offset: number
}

/** Blocks that the optimiser treats as one flat tensor. */
export interface ParameterGroup {
  readonly name: string
  readonly blocks: readonly Block[]
  readonly size: number
}

/**
 * The optimiser's groups: one for all small parameters, one for each block of the large ones that may be cut.
 *
 * @param blockSize Most elements of a block: so many that the operators of a step find them in a core's cache. Infinity
 *   cuts between parts only.
 */
export function parameterGroups(
  parameters: readonly Parameter[],
  blockSize: number,
): ParameterGroup[] {
  const isLarge = ({ dims, parts }: Parameter): boolean =>
    parts !== undefined && sizeOf(dims) > PACK_LIMIT
  const small = parameters.filter((parameter) => !isLarge(parameter))
  return [
    ...parameters
      .filter(isLarge)
      .flatMap((parameter) => blocksOf(parameter, blockSize))
      .map((block) => ({ name: `${block.name}.${block.offset}`, blocks: [block] })),
    { name: 'small', blocks: small.flatMap((parameter) => blocksOf(parameter, Infinity)) },
  ]
    .filter(({ blocks }) => blocks.length > 0)
    .map((group) => ({ ...group, size: group.blocks.reduce((sum, { size }) => sum + size, 0) }))
}

function blocksOf(parameter: Parameter, blockSize: number): Block[] {
  const { name, parts = 1 } = parameter
  const [rows = 1, ...rest] = trainedDims(parameter)
  const rowSize = sizeOf(rest)
  const height = rows / parts
  const most = Math.max(1, Math.floor(blockSize / rowSize / BLOCK_ROWS)) * BLOCK_ROWS
  const step = Math.ceil(height / Math.ceil(height / most) / BLOCK_ROWS) * BLOCK_ROWS
  return Array.from({ length: parts }, (_, part) => {
    const blocks: Block[] = []
    for (let start = 0; start < height; start += step) {
      const end = Math.min(start + step, height)
      const dims = [end - start, ...rest]
      const offset = (part * height + start) * rowSize
      blocks.push({ name, part, start, end, dims, size: sizeOf(dims), offset })
    }
    return blocks
  }).flat()
}

/** Every group's flat tensor, by the group's name. */
export function packParameters<N extends string>(
  parameters: readonly Parameter<N>[],
  groups: readonly ParameterGroup[],
  values: ParameterValues<N>,
): Map<string, Float32Array> {
  const trained = new Map<string, Float32Array>(
    parameters.map(({ name, dims, isTransposed }) => [
      name,
      isTransposed ? turned(values[name], dims) : values[name],
    ]),
  )
  return new Map(
    groups.map(({ name, blocks, size }) => {
      const flat = new Float32Array(size)
      let at = 0
      for (const block of blocks) {
        flat.set(elementsOf(block, trained), at)
        at += block.size
      }
      return [name, flat]
    }),
  )
}

/** The values that {@link packParameters} packed. */
export function unpackParameters<N extends string>(
  parameters: readonly Parameter<N>[],
  groups: readonly ParameterGroup[],
  tensors: ReadonlyMap<string, Float32Array>,
): ParameterValues<N> {
  const trained = new Map(
    parameters.map(({ name, dims }) => [name as string, new Float32Array(sizeOf(dims))]),
  )
  for (const { name, blocks } of groups) {
    const flat = tensors.get(name)
    if (!flat) throw new AppError('bug', `No parameters for ${name}.`)
    let at = 0
    for (const block of blocks) {
      elementsOf(block, trained).set(flat.subarray(at, at + block.size))
      at += block.size
    }
  }
  return valuesOf(parameters, (parameter) => {
    const own = trained.get(parameter.name)!
    return parameter.isTransposed ? turned(own, trainedDims(parameter)) : own
  })
}

/** A value for each parameter, by its name. */
export function valuesOf<N extends string, T>(
  parameters: readonly Parameter<N>[],
  of: (parameter: Parameter<N>) => T,
): Readonly<Record<N, T>> {
  return Object.fromEntries(
    parameters.map((parameter) => [parameter.name, of(parameter)]),
  ) as Record<N, T>
}

export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

function trainedDims({ dims, isTransposed }: Parameter): readonly number[] {
  return isTransposed ? [...dims].reverse() : dims
}

function elementsOf(
  { name, offset, size }: Block,
  trained: ReadonlyMap<string, Float32Array>,
): Float32Array {
  const values = trained.get(name)
  if (!values) throw new AppError('bug', `There is no parameter ${name}.`)
  return values.subarray(offset, offset + size)
}

/** A matrix's transpose; a copy, because a square one is turned in place. */
function turned(matrix: Float32Array, [rows = 1, columns = 1]: readonly number[]): Float32Array {
  return transposed(matrix.slice(), rows, columns)
}
