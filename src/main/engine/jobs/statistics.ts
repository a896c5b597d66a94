import type { ModelStatistics, TensorStatistics } from '@shared/statistics'
import { WEIGHT_TYPES } from '@shared/weightTypes'
import { StatisticsSum } from '../analysis/tensorStatistics'
import { Checkpoint, type TensorInfo } from '../checkpoint/Checkpoint'
import { decodeToFloat32, isTensorDtype } from '../checkpoint/dtypes'
import { writeRecord } from '@system/files'
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
    yield { type: 'plan', steps: [{ id: 'read', label: 'read weights', weight: 1 }] }
    const figures = new Map<string, TensorStatistics>()
    let done = 0
    let told = 0
    // In the order of the files, which is the order in which a disk is fast.
    for (const tensor of inFileOrder(tensors)) {
      const sum = new StatisticsSum()
      for await (const chunk of checkpoint.streamBytes(tensor.name, CHUNK_BYTES)) {
        signal.throwIfAborted()
        if (isTensorDtype(tensor.dtype)) sum.add(decodeToFloat32(chunk, tensor.dtype))
        done += chunk.byteLength
        if (done - told < total / 200 && done < total) continue
        told = done
        yield { type: 'step', id: 'read', done, total }
      }
      figures.set(tensor.name, sum.result())
    }
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

/** Puts the figures in the form of the layer strip. */
function arrange(
  { architecture, config, tensors }: Checkpoint,
  figures: ReadonlyMap<string, TensorStatistics>,
): ModelStatistics {
  const nameOf = (layer: number, suffix: string): string =>
    `${architecture.layerPrefix}${layer}.${suffix}`
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer)
  const row = (key: string, suffix: string, isWeightType: boolean): ModelStatistics['rows'][0] => {
    const cells = layers.flatMap((layer) => figures.get(nameOf(layer, suffix)) ?? [])
    const total = cells.reduce((sum, { norm }) => sum + norm ** 2, 0)
    return {
      key,
      isWeightType,
      cells,
      spectrumShares: cells.map(({ norm }) => (total > 0 ? norm ** 2 / total : 0)),
    }
  }
  const weights = WEIGHT_TYPES.map((type) =>
    row(type, `${architecture.weights[type]}.weight`, true),
  )
  const rest = architecture
    .layerTensors(config)
    .filter(({ role }) => role !== 'weight')
    .map(({ suffix }) => row(suffix, suffix, false))
  const damaged = [...figures]
    .map(([name, { nan, infinite }]) => ({ name, nan, infinite }))
    .filter(({ nan, infinite }) => nan + infinite > 0)
    .sort((a, b) => b.nan + b.infinite - a.nan - a.infinite)
  return {
    layers: layers.length,
    rows: [...weights, ...rest],
    others: [...tensors.keys()]
      .filter((name) => !name.startsWith(architecture.layerPrefix))
      .flatMap((name) => {
        const found = figures.get(name)
        return found ? [{ name, statistics: found }] : []
      }),
    damaged: damaged.slice(0, MAX_DAMAGED),
    damagedCount: damaged.length,
  }
}
