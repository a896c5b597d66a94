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
      figures.set(tensor.name, new Map(sums.map(({ start, sum }) => [start, sum])))
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
type Figures = Map<string, ReadonlyMap<number, StatisticsSum>>

/** Where a part's figures are found. */
type Place = Pick<Span, 'tensor' | 'offset'>

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
function zerosOf(count: number): StatisticsSum {
  const sum = new StatisticsSum()
  sum.add(new Float32Array(count))
  return sum
}

/** Of all that a cell stands for: the same matrix of every expert, elsewhere a single one. */
function together(sums: readonly StatisticsSum[]): TensorStatistics | null {
  if (sums.length === 0) return null
  const all = new StatisticsSum()
  for (const sum of sums) all.merge(sum)
  return all.result()
}

/** Puts the figures in the form of the layer strip. */
function arrange(checkpoint: Checkpoint, figures: Figures): ModelStatistics {
  const { architecture, config, tensors } = checkpoint
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer)
  const sumsOf = (layer: number, { tensor, offset }: Place): StatisticsSum[] => {
    const name = checkpoint.layerTensorName(layer, tensor)
    const zeros = checkpoint.zeros.get(name)
    const found = zeros === undefined ? figures.get(name)?.get(offset) : zerosOf(zeros)
    return found ? [found] : []
  }
  const row = (
    key: string,
    isWeightType: boolean,
    placesIn: (layer: number) => readonly Place[],
  ): ModelStatistics['rows'][0] => {
    const places = layers.map(placesIn)
    return {
      key,
      isWeightType,
      cells: places.map((own, layer) => together(own.flatMap((place) => sumsOf(layer, place)))),
      suffix: places.find((own) => own.length > 0)?.[0]?.tensor ?? '',
    }
  }
  const weights = checkpoint.weightTypes.map((type) =>
    row(type, true, (layer) =>
      checkpoint.slotsOf(layer).flatMap(({ id, weight }) => (id === type ? [weight] : [])),
    ),
  )
  const suffixes = formsOf(architecture, config).flatMap((layer) =>
    architecture
      .layerTensors(config, layer)
      .flatMap(({ role, suffix }) => (role === 'weight' ? [] : [suffix])),
  )
  const rest = [...new Set(suffixes)].map((suffix) =>
    row(suffix, false, () => [{ tensor: suffix, offset: 0 }]),
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
        return found ? [{ name, statistics: found.result() }] : []
      }),
    damaged: damaged.slice(0, MAX_DAMAGED),
    damagedCount: damaged.length,
  }
}

function total(parts: ReadonlyMap<number, StatisticsSum>, figure: 'nan' | 'infinite'): number {
  return [...parts.values()].reduce((sum, part) => sum + part.result()[figure], 0)
}
