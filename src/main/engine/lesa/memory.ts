/**
 * @file What a weight type's stages need of host memory, and where its coordinates go to keep within a bound. The terms
 * are the arrays that each stage holds at its peak; `docs/benchmarks.md` compares the sum with measured peaks.
 */
import { freemem } from 'node:os'
import { AppError } from '@shared/errors'
import { formatBytes } from '@shared/units'
import { bytesOfPrecision, type Precision } from './decomposition/CoordinateStore'
import { arrayLimits, requireArrays, type ArrayLimits, type ArrayNeed } from '../lib/arrays'
import { GARBAGE_LIMIT } from '../onnx/hostMemory'
import { stays, type Placement } from '../onnx/placement'
import { MAX_STEPS_A_RUN } from '../training/pacing'

const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Node and the runtime's library before any weights are read. */
export const BASELINE_BYTES = 110e6

/** The predictor's hidden width for which memory is planned; it weighs little beside the rest. */
const HIDDEN_SIZE = 256

/** Without a bound, the share of free memory that a job may plan for. */
const FREE_SHARE = 0.8

/** Memory of a GPU that is used when nobody says how much there is. */
const DEFAULT_DEVICE_BYTES = 4e9

/** Bytes of samples' rows in one run of the training, where they are copied for it. */
const MAX_BYTES_A_RUN = 64e6

const PLANNED_BATCH = 64

/**
 * The most bytes of copied rows in one run of the training graph, at the usual batch size: a small share of all rows, or
 * copying some of them would take more memory than having them all.
 */
export function maxRunBytes(width: number, allBytes: number): number {
  const step = PLANNED_BATCH * 3 * width * FLOAT
  return Math.max(step, Math.min(MAX_BYTES_A_RUN, MAX_STEPS_A_RUN * step, allBytes / 4))
}

/** Shape of one weight type: every layer's matrix is `[rows, width]`. */
export interface WeightShape {
  readonly rows: number
  readonly width: number
  readonly layerCount: number
  readonly precision: Precision
}

export interface MemoryPlan {
  /** Where the coordinates are kept. */
  readonly coordinates: 'memory' | 'file'
  /** Peak of the whole process. */
  readonly peakBytes: number
}

/** The predictor and its optimiser's state, before and after a run, in the session and out of it. */
function trainingBytes(width: number): number {
  const parameters = HIDDEN_SIZE * (3 * width + HIDDEN_SIZE)
  return 10 * parameters * FLOAT
}

/** Peaks of the two kinds of stages: before there are coordinates, and with them. */
function peaks({ rows, width }: WeightShape): { before: number; beside: number } {
  const layer = rows * width * FLOAT
  const square = rows * rows * FLOAT
  return {
    // A layer; the matrix and its next state, in the session as well, where memory comes in powers of two; reflectors.
    before: layer + 7.2 * square,
    // The basis; a layer's weights beside the predictor's training, or with its coordinates and its new weights.
    beside: square + Math.max(layer + trainingBytes(width), 3 * layer) + GARBAGE_LIMIT,
  }
}

/**
 * Of the square matrices, those that are arrays of this process: the matrix, its next state whole and cut off, and the
 * reflectors. The others are the runtime's own.
 */
const ARRAY_SQUARES = 4

/** What of that is arrays, the coordinates in a file. */
export function arrayNeed(shape: WeightShape): ArrayNeed {
  const layer = shape.rows * shape.width * FLOAT
  const square = shape.rows ** 2 * FLOAT
  return {
    largest: Math.max(layer, square),
    together: Math.max(layer + ARRAY_SQUARES * square, arraysBeside(shape) + copiedBytes(shape)),
  }
}

/** Both neighbours' matrices and the new one, for methods that compute with whole ones. */
export function neighboursNeed({ rows, width }: Pick<WeightShape, 'rows' | 'width'>): ArrayNeed {
  const matrix = rows * width * FLOAT
  return { largest: matrix, together: 3 * matrix }
}

/** The arrays beside the coordinates: the basis, a layer's weights, its coordinates and its new weights. */
function arraysBeside({ rows, width }: WeightShape): number {
  return rows * rows * FLOAT + 3 * rows * width * FLOAT + GARBAGE_LIMIT
}

/** All layers' coordinates, wherever they are kept. */
export function storeBytes({ rows, width, layerCount, precision }: WeightShape): number {
  return rows * width * layerCount * bytesOfPrecision(precision)
}

/** All layers' weights or coordinates on a device, which has them as float32. */
function deviceStoreBytes({ rows, width, layerCount }: WeightShape): number {
  return rows * width * layerCount * FLOAT
}

/** Samples' rows, which are copied from the file for each run of the training. */
function copiedBytes(shape: WeightShape): number {
  return maxRunBytes(shape.width, storeBytes(shape))
}

/** The least memory that the weight type can be computed in, its coordinates in a file. */
export function leastBytes(shape: WeightShape): number {
  const { before, beside } = peaks(shape)
  return BASELINE_BYTES + Math.max(before, beside + copiedBytes(shape))
}

/** The peak with the coordinates in memory. */
export function fullBytes(shape: WeightShape): number {
  const { before, beside } = peaks(shape)
  return BASELINE_BYTES + Math.max(before, beside + storeBytes(shape))
}

/** {@link fullBytes} or {@link leastBytes} by what it consists of. */
export function memoryParts(
  shape: WeightShape,
  coordinates: MemoryPlan['coordinates'],
): { label: string; value: number }[] {
  const { before, beside } = peaks(shape)
  const store = coordinates === 'memory' ? storeBytes(shape) : copiedBytes(shape)
  const program = { label: 'program and runtime', value: BASELINE_BYTES }
  return before >= beside + store
    ? [program, { label: 'eigenvectors of the Gram matrix', value: before }]
    : [
        program,
        { label: 'basis, a layer and its predictor', value: beside },
        {
          label: coordinates === 'memory' ? 'coordinates of all layers' : 'samples from the file',
          value: store,
        },
      ]
}

/** Memory of a GPU that all samples' rows may take while a predictor trains there. */
export function residentBytes(width: number, bound: number = DEFAULT_DEVICE_BYTES): number {
  return Math.max(0, bound - trainingBytes(width))
}

/** Beside the layers: the matrix under reduction, its next state, reflectors, eigenvectors before and after a block. */
const DEVICE_SQUARES = 5

/** Whether all layers can stay on a GPU while they are decomposed, so that each goes there once. */
export function layersStay(shape: WeightShape, bound: number = DEFAULT_DEVICE_BYTES): boolean {
  return deviceStoreBytes(shape) + DEVICE_SQUARES * shape.rows ** 2 * FLOAT <= bound
}

/** The most that a weight type takes of a GPU's memory, for the decomposition, the training and the new layers. */
export function deviceBytes(
  placement: Placement,
  shape: WeightShape,
  bound: number | undefined,
): number {
  const { rows, width } = shape
  const [layer, square] = [rows * width * FLOAT, rows * rows * FLOAT]
  const store = deviceStoreBytes(shape)
  const layers = placement.keepsResults && layersStay(shape, bound) ? store : layer
  const samplesStay = stays(placement, store, residentBytes(width, bound))
  const samples = samplesStay ? store : copiedBytes(shape)
  return Math.max(
    layers + DEVICE_SQUARES * square,
    trainingBytes(width) + samples,
    // The basis, a layer's coordinates and its new weights.
    square + 2 * layer,
  )
}

/**
 * Settles where a weight type's coordinates go.
 *
 * @param bound Bytes the process may use; by default most of what is free now.
 */
export function planMemory(
  shape: WeightShape,
  bound: number = BASELINE_BYTES + freemem() * FREE_SHARE,
  limits: ArrayLimits = arrayLimits(),
): MemoryPlan {
  const full = fullBytes(shape)
  return full <= bound && arraysBeside(shape) + storeBytes(shape) <= limits.all
    ? { coordinates: 'memory', peakBytes: full }
    : { coordinates: 'file', peakBytes: leastBytes(shape) }
}

/**
 * Refuses what this kind of process cannot hold, and a bound that no plan can keep.
 *
 * @throws AppError `not_enough_memory`; for a bound it names the smallest that works.
 */
export function requireMemory(
  shapes: readonly WeightShape[],
  bound: number | undefined,
  limits: ArrayLimits = arrayLimits(),
): void {
  for (const shape of shapes) requireArrays(arrayNeed(shape), limits)
  const least = shapes.reduce((most, shape) => Math.max(most, leastBytes(shape)), 0)
  if (bound === undefined || least <= bound) return
  throw new AppError('not_enough_memory', `The job does not fit into ${formatBytes(bound)}.`, {
    hint: `The smallest bound that works is ${formatBytes(Math.ceil(least / 1e7) * 1e7)}.`,
    context: { expected: `at least ${formatBytes(least)}`, actual: formatBytes(bound) },
  })
}
