import { readFile } from 'node:fs/promises'
import { parseAnalysis, type DirectionProjection, type RunAnalysis } from '@shared/analysis'
import type { ProjectionRequest } from '@shared/engineProtocol'
import { AppError } from '@shared/errors'
import { recordFiles } from '../analysis/analyse'
import { measureContinuity } from '../analysis/continuity'
import { readFloats } from '../lesa/directions'
import { projectByPca, projectByTsne, type PointSet } from '../analysis/projection'

/** As in the paper's figure and in most others. */
const DEFAULT_PERPLEXITY = 10

/** t-SNE takes time with the square of the number of layers. */
const MAX_POINTS = 2_000

/**
 * The paper's picture from what a run left in its record folder. The plane of the principal components is that of the
 * base layers; predicted ones are drawn in it.
 *
 * @throws AppError `not_found` when the run has no directions of this weight type, `damaged_file`.
 */
export async function projectDirections(request: ProjectionRequest): Promise<DirectionProjection> {
  const { folder, type, method, seed, isBaseOnly = false } = request
  const { layers: recorded, types } = await readAnalysis(folder)
  const isKnown = Object.hasOwn(types, type)
  const file = recordFiles.directions(folder, type)
  const values = isKnown ? await readFloats(file) : null
  const width = (values?.length ?? 0) / recorded.length
  if (values && (!Number.isInteger(width) || !values.every(Number.isFinite))) throw damaged(file)
  if (!values || width === 0 || recorded.length > MAX_POINTS) {
    throw new AppError('not_found', `There are no directions of ${type} to show.`, {
      hint: 'Only LESA and its control decompose the weights, and only with SVD.',
      context: { file },
    })
  }
  const all: PointSet = { count: recorded.length, width, values }
  // Of layers of other types, and of those without such a matrix, there is no direction.
  const isThere = (index: number): boolean =>
    values.subarray(index * width, (index + 1) * width).some((value) => value !== 0)
  const layers = recorded.filter(({ isNew, index }) => isThere(index) && !(isNew && isBaseOnly))
  const points = pick(
    all,
    layers.map(({ index }) => index),
  )
  const base = layers.flatMap(({ isNew }, index) => (isNew ? [] : [index]))
  const plane =
    method === 'pca'
      ? projectByPca(points, base)
      : projectByTsne(points, { seed, perplexity: request.perplexity ?? DEFAULT_PERPLEXITY })
  return {
    type,
    method,
    points: layers.map((layer, index) => ({
      ...layer,
      x: plane.x[index]!,
      y: plane.y[index]!,
      isPredicted: layer.isNew,
    })),
    explained: plane.explained,
    continuity: measureContinuity(pick(points, base)),
    predicted: layers.flatMap(({ isNew, index }, at) =>
      isNew ? [{ index, offMidpoint: offMidpoint(points, layers, at) }] : [],
    ),
  }
}

async function readAnalysis(folder: string): Promise<RunAnalysis> {
  const file = recordFiles.analysis(folder)
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError('not_found', 'The run has not been analysed.', { context: { file }, cause })
  })
  const analysis = parseAnalysis(text)
  if (analysis) return analysis
  throw damaged(file)
}

function damaged(file: string): AppError {
  return new AppError('damaged_file', `${file} is damaged.`, {
    hint: 'Run it again.',
    context: { file },
  })
}

function pick({ width, values }: PointSet, rows: readonly number[]): PointSet {
  const picked = new Float32Array(rows.length * width)
  rows.forEach((row, at) => picked.set(values.subarray(row * width, (row + 1) * width), at * width))
  return { count: rows.length, width, values: picked }
}

/** Distance to the midpoint of the nearest base layers around it, over half their distance. */
function offMidpoint(
  { width, values }: PointSet,
  layers: RunAnalysis['layers'],
  at: number,
): number {
  const left = layers.findLastIndex((layer, place) => place < at && !layer.isNew)
  const right = layers.findIndex((layer, place) => place > at && !layer.isNew)
  if (left < 0 || right < 0) return 0
  let [off, apart] = [0, 0]
  for (let k = 0; k < width; k += 1) {
    const [a, b] = [values[left * width + k]!, values[right * width + k]!]
    off += (values[at * width + k]! - (a + b) / 2) ** 2
    apart += (a - b) ** 2
  }
  return apart > 0 ? (2 * Math.sqrt(off)) / Math.sqrt(apart) : 0
}
