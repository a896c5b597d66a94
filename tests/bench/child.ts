/**
 * @file The measured pieces that run in a process of their own: `node child.js TASK '{…}'`. Each prints one line of JSON.
 */
import { open, readFile, writeFile } from 'node:fs/promises'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { PRETRAIN_DEFAULTS } from '@shared/pretraining'
import { constant } from '@shared/schedules'
import { decodeToFloat32, encodeFromFloat32 } from '../../src/main/engine/checkpoint/dtypes'
import {
  CoordinateStore,
  type StoreShape,
} from '../../src/main/engine/lesa/decomposition/CoordinateStore'
import { RowEncoder } from '../../src/main/engine/lesa/decomposition/rowEncoding'
import { decompose, type WeightSource } from '../../src/main/engine/lesa/decomposition/decompose'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { estimate } from '../../src/main/engine/costs/estimate'
import { Runtime } from '../../src/main/engine/onnx/Runtime'
import { Samples } from '../../src/main/engine/lesa/predictor/Samples'
import { trainPredictor } from '../../src/main/engine/lesa/predictor/train'
import { Random } from '../../src/main/engine/lib/random'
import { trainedLayers } from '../../src/main/engine/pretraining/course'
import { LayerTrainer } from '../../src/main/engine/pretraining/LayerTrainer'
import type { TrainingMode } from '../../src/main/engine/pretraining/memory'
import { matrixBlocks } from '../../src/main/engine/synthesis/matrix'
import type { EstimateTask } from './lib/estimate'
import type { Report } from './lib/measure'
import { median } from './lib/statistics'

export interface MatricesTask {
  /** BF16, layer after layer, each `[rows, columns]` row-major. */
  readonly file: string
  readonly layers: number
  readonly rows: number
  readonly columns: number
}

export interface TrainTask {
  readonly width: number
  readonly rank: number
  readonly layers: number
  readonly warmup: number
  readonly steps: number
}

export interface PretrainTask {
  /** A grown checkpoint. */
  readonly model: string
  /** Int32 token ids `[steps, batch, context]`. */
  readonly windows: string
  readonly steps: number
  /** Of these, those that are not timed. */
  readonly warmup: number
  readonly batch: number
  readonly context: number
  readonly mode: TrainingMode
  readonly lr: number
  /** For what does not fit into memory. */
  readonly scratch: string
}

/** Writes matrices with the spectrum of the synthetic checkpoints. */
async function writeMatrices({ file, layers, rows, columns }: MatricesTask): Promise<Report> {
  async function* content() {
    for (let layer = 0; layer < layers; layer += 1) {
      const deviation = 1 / Math.sqrt(columns)
      const recipe = { family: 'bench', layer, rows, columns, deviation }
      for (const block of matrixBlocks(recipe, 0)) yield encodeFromFloat32(block, 'BF16')
      // The event loop has to turn for the stream to be written.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await writeFile(file, content())
  return {}
}

/** The engine's decomposition, its matrices read from the file as a job reads them from a checkpoint. */
async function timeDecompose({ file, layers, rows, columns }: MatricesTask): Promise<Report> {
  const runtime = await Runtime.open('cpu')
  await decompose(runtime, warmUpSource(), decomposeOptions)
  const handle = await open(file, 'r')
  const bytes = new Uint8Array(rows * columns * 2)
  const values = new Float32Array(rows * columns)
  const source: WeightSource = {
    layerCount: layers,
    rows,
    width: columns,
    precision: 'int16',
    async read(layer) {
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, layer * bytes.length)
      if (bytesRead !== bytes.length) throw new Error(`${file} ends before layer ${layer}.`)
      return decodeToFloat32(bytes, 'BF16', values)
    },
  }
  const started = performance.now()
  const { singularValues, coordinates } = await decompose(runtime, source, decomposeOptions)
  const seconds = (performance.now() - started) / 1000
  coordinates.close()
  await handle.close()
  await runtime.dispose()
  return { seconds, singularValues: [...(singularValues ?? []).slice(0, 8)] }
}

const decomposeOptions = {
  energy: 1,
  createStore: (shape: StoreShape) => CoordinateStore.inMemory(shape),
  onProgress: () => undefined,
}

/** Small, so that loading the runtime and compiling graphs is not what is measured. */
function warmUpSource(): WeightSource {
  const size = 64
  return {
    layerCount: 3,
    rows: size,
    width: size,
    precision: 'int16',
    read: (layer) => {
      const random = new Random(layer, 'warm-up')
      return Promise.resolve(Float32Array.from({ length: size * size }, () => random.normal()))
    },
  }
}

/** Steps a second of the predictor's training, by the paper's settings but for the length. */
async function timeTraining(task: TrainTask): Promise<Report> {
  const { width, rank, layers, warmup, steps } = task
  const runtime = await Runtime.open('cpu')
  const shape = { layerCount: layers, rank, width, precision: 'int16' } as const
  const store = CoordinateStore.inMemory(shape)
  // Rows of unit length over all layers, as singular coordinates have.
  const deviation = 1 / Math.sqrt(layers * width)
  const encoder = await RowEncoder.create(runtime, store)
  for (let layer = 0; layer < layers; layer += 1) {
    const rows = new Float32Array(rank * width)
    let at = 0
    const recipe = { family: 'bench', layer, rows: rank, columns: width, deviation }
    for (const block of matrixBlocks(recipe, 0)) {
      rows.set(block, at)
      at += block.length
    }
    await encoder.write(layer, 0, rows)
  }
  await encoder.dispose()
  const length = { unit: 'steps', value: warmup + steps } as const
  const training = trainPredictor(
    runtime,
    new Samples(store),
    { ...PRESET_SETTINGS.paper, length },
    { initial: new Random(0, 'initial'), shuffle: new Random(0, 'shuffle') },
  )
  let first: { readonly step: number; readonly at: number } | null = null
  let last = { step: 0, at: 0 }
  for (let next = await training.next(); !next.done; next = await training.next()) {
    last = { step: next.value.step, at: performance.now() }
    if (!first && last.step >= warmup) first = last
  }
  if (!first || last.step === first.step) throw new Error('Too few steps to measure.')
  await runtime.dispose()
  return { rate: (1000 * (last.step - first.step)) / (last.at - first.at) }
}

/** Tokens a second of training a grown model's new layers; the median step. */
async function timePretraining(task: PretrainTask): Promise<Report> {
  const { model, steps, warmup, batch, context, mode, lr, scratch } = task
  const bytes = await readFile(task.windows)
  const ids = new Int32Array(bytes.buffer, bytes.byteOffset, steps * batch * context)
  const checkpoint = await Checkpoint.open(model)
  const runtime = await Runtime.open('cpu')
  const trainer = await LayerTrainer.open(checkpoint, runtime, {
    settings: {
      layers: await trainedLayers(checkpoint, { train: 'new' }),
      parts: 'all',
      optimiser: { ...PRETRAIN_DEFAULTS, learningRate: lr },
      schedule: constant,
      outputRateFactor: 1,
      clip: PRETRAIN_DEFAULTS.clip,
    },
    context,
    batch,
    scratch,
    signal: new AbortController().signal,
    mode,
  })
  if (trainer.mode !== mode) throw new Error(`The plan is to ${trainer.mode}, not to ${mode}.`)
  const losses: number[] = []
  const seconds: number[] = []
  for (let step = 0; step < steps; step += 1) {
    const windows = Array.from({ length: batch }, (_, row) => {
      const start = (step * batch + row) * context
      return ids.subarray(start, start + context)
    })
    const started = performance.now()
    const work = trainer.step(windows)
    let next = await work.next()
    while (!next.done) next = await work.next()
    seconds.push((performance.now() - started) / 1000)
    losses.push(next.value.loss)
  }
  await trainer.dispose()
  await checkpoint.close()
  await runtime.dispose()
  return { rate: (batch * context) / median(seconds.slice(warmup)), losses }
}

async function estimateJob(task: EstimateTask): Promise<Report> {
  const { seconds, hostBytesPeak } = await estimate(task)
  return { ...seconds, hostBytesPeak }
}

const TASKS: Readonly<Record<string, (parameters: never) => Promise<Report>>> = {
  matrices: writeMatrices,
  decompose: timeDecompose,
  train: timeTraining,
  pretrain: timePretraining,
  estimate: estimateJob,
}

const [name = '', parameters = ''] = process.argv.slice(2)
const task = TASKS[name]
if (!task) throw new Error(`There is no task "${name}".`)
const report = await task(JSON.parse(parameters) as never)
// maxRSS is in kibibytes on every platform.
const maxResidentBytes = process.resourceUsage().maxRSS * 1024
process.stdout.write(`${JSON.stringify({ ...report, maxResidentBytes })}\n`)
