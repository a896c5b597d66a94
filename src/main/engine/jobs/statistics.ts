import { dirname } from 'node:path'
import type { ModelStatistics, TensorStatistics } from '@shared/statistics'
import {
  elementsOf,
  formsOf,
  partsOf,
  placeInLayers,
  type Span,
} from '../architectures/Architecture'
import { StatisticsSum } from '../analysis/tensorStatistics'
import { Checkpoint, type TensorInfo } from '../checkpoint/Checkpoint'
import { decodeToFloat32, isTensorDtype } from '../checkpoint/dtypes'
import { requireWritable, writeRecord } from '@system/files'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

const CHUNK_BYTES = 2 ** 22
const MAX_DAMAGED = 1_000

/** Computes a checkpoint's statistics, one pass over its bytes with a few megabytes in memory, and keeps them as JSON. */
export const run: JobRunner<'statistics'> = async function* (spec, { signal }) {
  const started = performance.now()
  const checkpoint = await Checkpoint.open(spec.model)
  try {
    const tensors = [...checkpoint.tensors.values()].filter(({ dtype }) => isTensorDtype(dtype))
    const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0)
    await requireWritable(dirname(spec.file))
    yield { type: 'plan', steps: [{ id: 'read', label: 'read weights', weight: 1 }] }
    yield* remarksOf(checkpoint)
    const figures: Figures = new Map()
    let done = 0
    let told = 0
    // In the order of the files, which is the order in which a disk is fast.
    for (const tensor of inFileOrder(tensors)) {
      const sums = sumsOf(checkpoint, tensor)
      let at = 0
      for await (const chunk of checkpoint.streamBytes(tensor.name, CHUNK_BYTES)) {
        signal.throwIfAborted()
        if (isTensorDtype(tensor.dtype)) {
          const values = decodeToFloat32(chunk, tensor.dtype)
          for (const { start, end, sum } of sums) {
            const [first, last] = [Math.max(0, start - at), Math.min(values.length, end - at)]
            if (first < last) sum.add(values.subarray(first, last))
          }
          at += values.length
        }
        done += chunk.byteLength
        if (done - told < total / 200 && done < total) continue
        told = done
        yield { type: 'step', id: 'read', done, total }
      }
      figures.set(tensor.name, new Map(sums.map(({ start, sum }) => [start, sum.result()])))
    }
    await checkpoint.assertUnchanged()
    await writeRecord(spec.file, arrange(checkpoint, figures))
    return {
      kind: 'statistics',
      model: spec.model,
      file: spec.file,
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    await checkpoint.close()
  }
}

function inFileOrder(tensors: readonly TensorInfo[]): TensorInfo[] {
  return [...tensors].sort((a, b) =>
    a.file === b.file ? a.offset - b.offset : a.file < b.file ? -1 : 1,
  )
}

/** By tensor, then by the first element of each slot's part of it; what holds no slots is one part. */
type Figures = Map<string, ReadonlyMap<number, TensorStatistics>>

interface PartSum {
  readonly start: number
  readonly end: number
  readonly sum: StatisticsSum
}

function sumsOf(checkpoint: Checkpoint, { name, shape }: TensorInfo): PartSum[] {
  const place = placeInLayers(checkpoint.architecture, name)
  const parts = place ? partsOf(checkpoint.slotsOf(place.layer), 'weight', place.suffix) : []
  const spans = parts.map(({ span }) => span)
  return (spans.length > 0 ? spans : [{ offset: 0, shape }]).map((span) => ({
    start: span.offset,
    end: span.offset + elementsOf(span.shape),
    sum: new StatisticsSum(),
  }))
}

/** The figures of a bias that the files leave out. */
function zerosOf(count: number): TensorStatistics {
  const sum = new StatisticsSum()
  sum.add(new Float32Array(count))
  return sum.result()
}

/** Puts the figures in the form of the layer strip. */
function arrange(checkpoint: Checkpoint, figures: Figures): ModelStatistics {
  const { architecture, config, tensors } = checkpoint
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer)
  const row = (
    key: string,
    isWeightType: boolean,
    { tensor, offset }: Pick<Span, 'tensor' | 'offset'>,
  ): ModelStatistics['rows'][0] => {
    const cells = layers.flatMap((layer) => {
      const name = checkpoint.layerTensorName(layer, tensor)
      const zeros = checkpoint.zeros.get(name)
      return zeros === undefined ? (figures.get(name)?.get(offset) ?? []) : zerosOf(zeros)
    })
    return { key, isWeightType, cells, suffix: tensor }
  }
  const weights = checkpoint.weightTypes.map((type) =>
    row(type, true, checkpoint.slot(type).weight),
  )
  const suffixes = formsOf(architecture, config).flatMap((layer) =>
    architecture
      .layerTensors(config, layer)
      .flatMap(({ role, suffix }) => (role === 'weight' ? [] : [suffix])),
  )
  const rest = [...new Set(suffixes)].map((suffix) =>
    row(suffix, false, { tensor: suffix, offset: 0 }),
  )
  const damaged = [...figures]
    .map(([name, parts]) => ({
      name,
      nan: total(parts, 'nan'),
      infinite: total(parts, 'infinite'),
    }))
    .filter(({ nan, infinite }) => nan + infinite > 0)
    .sort((a, b) => b.nan + b.infinite - a.nan - a.infinite)
  return {
    layers: layers.length,
    layerPrefix: architecture.layerPrefix,
    rows: [...weights, ...rest],
    others: [...tensors.keys()]
      .filter((name) => !name.startsWith(architecture.layerPrefix))
      .flatMap((name) => {
        const found = figures.get(name)?.get(0)
        return found ? [{ name, statistics: found }] : []
      }),
    damaged: damaged.slice(0, MAX_DAMAGED),
    damagedCount: damaged.length,
  }
}

function total(parts: ReadonlyMap<number, TensorStatistics>, figure: 'nan' | 'infinite'): number {
  return [...parts.values()].reduce((sum, { [figure]: count }) => sum + count, 0)
}
