/**
 * @file How fast this machine is at what the jobs do, measured once by the jobs' own kernels at small sizes and kept.
 */
import { createHash } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { PredictorSettings } from '@shared/predictorSettings'
import { z } from 'zod'
import type { Checkpoint, TensorInfo } from '../checkpoint/Checkpoint'
import { isTensorDtype } from '../checkpoint/dtypes'
import { SequentialFile, WriteBlocks } from '../checkpoint/SequentialFile'
import { CoordinateStore } from '../lesa/decomposition/CoordinateStore'
import { symmetricEigen } from '../lesa/decomposition/symmetricEigen'
import { writeRecord } from '@system/files'
import { existingFolder } from '@system/paths'
import { Graph } from '../onnx/graph'
import type { Runtime } from '../onnx/Runtime'
import { Samples } from '../lesa/predictor/Samples'
import { trainPredictor } from '../lesa/predictor/train'
import { Random } from '../lib/random'
import { ENGINE_VERSION } from '../lib/version'
import type { TextSample } from './textSample'
import { timeTraining, type TrainingRates, type Trial } from './trainingTrial'

/** Kept figures are measured again after this long: other work may have slowed the machine down then. */
const MAX_AGE_MS = 3600 * 1000

/** Sizes of the trial eigenproblems: two points for a law of two terms. */
const EIGEN_SIZES = [512, 1536] as const

const GEMM_SIZE = 1536

/** A trial training run: its first part is not counted, it finds the pace. */
const TRIAL_STEPS = 80
const TRIAL_LAYERS = 22

/** Bytes read, and copied, to time a disk; smaller models don't time it. */
const READ_TRIAL_BYTES = 192e6
const COPY_TRIAL_BYTES = 384e6
/** Copied before that, not timed: a disk that was idle is slow at first, which a job of many times the size is not. */
const COPY_WARM_UP_BYTES = 128e6
const PIECE_BYTES = 2 ** 24

/** Bytes a second of a solid-state disk of no great age. */
const ORDINARY_DISK = { read: 800e6, copy: 400e6 } as const

const fileSchema = z.object({
  schema_version: z.literal(1),
  engine: z.literal(ENGINE_VERSION),
  /** Seconds or rates by what they are of, with the time of measurement. */
  figures: z.record(z.string(), z.object({ value: z.number().positive(), at: z.number() })),
})

type Figures = z.infer<typeof fileSchema>['figures']

/** Measured figures of a machine; each is measured when it is first asked for. */
export class Calibration {
  private constructor(
    private readonly file: string | null,
    private readonly figures: Figures,
  ) {}

  /** @param file Keeps the figures for other processes; a missing or damaged one is as good as none. */
  static async open(file: string | undefined): Promise<Calibration> {
    if (file === undefined) return new Calibration(null, {})
    try {
      const { figures } = fileSchema.parse(JSON.parse(await readFile(file, 'utf8')))
      const fresh = Object.entries(figures).filter(([, { at }]) => Date.now() - at < MAX_AGE_MS)
      return new Calibration(file, Object.fromEntries(fresh))
    } catch {
      return new Calibration(file, {})
    }
  }

  /** Floating-point operations a second in a large float32 product. */
  productRate(runtime: Runtime): Promise<number> {
    return this.#figure(`${computerOf(runtime)}/product`, () => timeProduct(runtime))
  }

  /** Seconds of an eigenproblem of `n` rows. */
  async eigenSeconds(runtime: Runtime, n: number): Promise<number> {
    const [small, large] = EIGEN_SIZES
    const timed = (size: number): Promise<number> =>
      this.#figure(`${computerOf(runtime)}/eigen/${size}`, () => timeEigen(runtime, size))
    const seconds = await timed(small)
    // Between both terms of the law: of so little time that another trial would take longer.
    if (n <= small) return seconds * (n / small) ** 2
    return extrapolateEigen(n, [small, seconds], [large, await timed(large)])
  }

  /** Seconds of one training step of a predictor for rows of `width`. */
  stepSeconds(runtime: Runtime, width: number, settings: PredictorSettings): Promise<number> {
    const { hiddenSize, batchSize } = settings
    return this.#figure(`${computerOf(runtime)}/step/${width}/${hiddenSize}/${batchSize}`, () =>
      timeSteps(runtime, width, settings),
    )
  }

  /** How fast layers of the trial's model are trained. */
  trainingRates(runtime: Runtime, trial: Trial): Promise<TrainingRates> {
    const name = (part: string): string => `${computerOf(runtime)}/${part}/${trial.name}`
    const parts = ['forward', 'backward', 'head', 'update'] as const
    return this.#together(parts, name, () => timeTraining(runtime, trial))
  }

  /** How a text becomes tokens. @param of What decides it. */
  textSample(of: readonly string[], measure: () => Promise<TextSample>): Promise<TextSample> {
    const digest = createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 16)
    const parts = ['bytesPerToken', 'rate'] as const
    return this.#together(parts, (part) => `text/${part}/${digest}`, measure)
  }

  /**
   * Bytes a second read from a checkpoint and converted to float32. Of a small one an ordinary disk's where this one's is
   * not known: a trial takes longer than its job, and says nothing of large matrices.
   *
   * @param isQuick Do so for every checkpoint.
   */
  async readRate(checkpoint: Checkpoint, isQuick = false): Promise<number> {
    const name = `read/${await diskOf(checkpoint.path)}`
    if ((isQuick || isSmall(checkpoint)) && !this.figures[name]) return ORDINARY_DISK.read
    return this.#figure(name, () => timeReading(checkpoint))
  }

  /** Bytes a second copied from a checkpoint to where `path` will be, as `readRate`; nothing is left behind. */
  async copyRate(checkpoint: Checkpoint, path: string, isQuick = false): Promise<number> {
    const folder = existingFolder(path)
    const name = `copy/${await diskOf(checkpoint.path)}/${await diskOf(folder)}`
    if ((isQuick || isSmall(checkpoint)) && !this.figures[name]) return ORDINARY_DISK.copy
    return this.#figure(name, () => timeCopying(checkpoint, folder))
  }

  /** Keeps what was measured; an estimate that cannot be kept is made again. */
  async save(): Promise<void> {
    if (this.file === null) return
    const content: z.infer<typeof fileSchema> = {
      schema_version: 1,
      engine: ENGINE_VERSION,
      figures: this.figures,
    }
    await writeRecord(this.file, content).catch(() => undefined)
  }

  /** Figures of one measurement. */
  async #together<K extends string>(
    parts: readonly K[],
    name: (part: K) => string,
    measure: () => Promise<Readonly<Record<K, number>>>,
  ): Promise<Record<K, number>> {
    let measured: Promise<Readonly<Record<K, number>>> | null = null
    const found: [K, number][] = []
    for (const part of parts) {
      const own = async (): Promise<number> => (await (measured ??= measure()))[part]
      found.push([part, await this.#figure(name(part), own)])
    }
    return Object.fromEntries(found) as Record<K, number>
  }

  async #figure(name: string, measure: () => Promise<number>): Promise<number> {
    const known = this.figures[name]
    if (known) return known.value
    const value = Math.max(1e-12, await measure())
    this.figures[name] = { value, at: Date.now() }
    return value
  }
}

/**
 * Seconds for `n` rows by c·n + b·n³ through two measurements: a column's own cost, and that of the matrix behind it. A
 * law with a negative term (noise) becomes the cubic one through the larger measurement.
 */
export function extrapolateEigen(
  n: number,
  [n1, t1]: readonly [number, number],
  [n2, t2]: readonly [number, number],
): number {
  const b = (t2 / n2 - t1 / n1) / (n2 ** 2 - n1 ** 2)
  const c = t1 / n1 - b * n1 ** 2
  return b <= 0 || c < 0 ? t2 * (n / n2) ** 3 : c * n + b * n ** 3
}

async function timeProduct(runtime: Runtime): Promise<number> {
  const n = GEMM_SIZE
  const g = new Graph()
  g.output('y', g.matmul(g.input('a', [n, n]), g.input('b', [n, n])))
  const kernel = await runtime.compile(g)
  try {
    const random = new Random(0, 'calibration')
    const values = Float32Array.from({ length: n * n }, () => random.uniform())
    const feeds = { a: runtime.float32(values, [n, n]), b: runtime.float32(values, [n, n]) }
    await kernel.run(feeds)
    return (2 * n ** 3) / (await best(3, async () => void (await kernel.run(feeds))))
  } finally {
    await kernel.dispose()
  }
}

async function timeEigen(runtime: Runtime, n: number): Promise<number> {
  const random = new Random(n, 'calibration')
  const factor = Float32Array.from({ length: n }, () => random.normal())
  // A smooth positive spectrum with one leading direction, as weights have.
  const matrix = (): Float32Array =>
    Float32Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n]
      return factor[i]! * factor[j]! + (i === j ? 1 + i / n : 0.1 / (1 + Math.abs(i - j)))
    })
  return best(n < 1000 ? 3 : 2, async () => void (await symmetricEigen(runtime, matrix(), n)))
}

async function timeSteps(
  runtime: Runtime,
  width: number,
  settings: PredictorSettings,
): Promise<number> {
  // Many layers of few rows have as many samples as few layers of many, in a third of the memory.
  const rank = Math.ceil((settings.batchSize * TRIAL_STEPS) / (TRIAL_LAYERS - 2))
  const random = new Random(width, 'calibration')
  const shape = { layerCount: TRIAL_LAYERS, rank, width, precision: 'int16' } as const
  const store = CoordinateStore.inMemory(shape)
  // The same rows for every layer: what the numbers are does not matter here.
  const rows = Int16Array.from({ length: rank * width }, () => 8_000 * random.normal())
  const scales = new Float32Array(rank).fill(1 / 8_000)
  for (let layer = 0; layer < TRIAL_LAYERS; layer += 1) {
    const place = store.place(layer, 0, rank)
    place.set(rows)
    store.write(layer, 0, place, scales)
  }
  const training = trainPredictor(
    runtime,
    new Samples(store),
    { ...settings, learningRate: 1e-5, length: { unit: 'steps', value: TRIAL_STEPS } },
    { initial: new Random(0, 'calibration'), shuffle: new Random(1, 'calibration') },
    // On a GPU the samples stay there, as those of a job do where they fit.
    Infinity,
  )
  let first: { readonly step: number; readonly at: number } | null = null
  let last = { step: 0, at: 0 }
  for await (const { step } of training) {
    last = { step, at: performance.now() }
    first ??= last
  }
  if (!first || first.step === last.step) throw new AppError('bug', 'The trial was too short.')
  return (last.at - first.at) / 1000 / (last.step - first.step)
}

async function timeReading(checkpoint: Checkpoint): Promise<number> {
  let bytes = 0
  const into = new Float32Array((2 * PIECE_BYTES) / Float32Array.BYTES_PER_ELEMENT)
  const start = performance.now()
  for (const { tensor, rows, byteLength } of pieces(checkpoint, READ_TRIAL_BYTES)) {
    await checkpoint.readFloat32(tensor.name, { rows: [0, rows], into })
    bytes += byteLength
  }
  return bytes === 0 ? ORDINARY_DISK.read : bytes / ((performance.now() - start) / 1000)
}

async function timeCopying(checkpoint: Checkpoint, folder: string): Promise<number> {
  const path = join(folder, `.lesa-speed-${process.pid}.tmp`)
  let [written, bytes, start] = [0, 0, 0]
  try {
    const file = await SequentialFile.create(path, new WriteBlocks())
    try {
      const trial = pieces(checkpoint, COPY_WARM_UP_BYTES + COPY_TRIAL_BYTES)
      for (const { tensor, byteLength } of trial) {
        if (written >= COPY_WARM_UP_BYTES) {
          if (bytes === 0) start = performance.now()
          bytes += byteLength
        }
        written += byteLength
        await file.addRead(byteLength, async (part, offset) => {
          const range = { start: offset, end: offset + part.byteLength }
          await checkpoint.readBytes(tensor.name, range, part)
        })
      }
      await file.finish()
      await file.sync()
    } finally {
      await file.close()
    }
    return bytes === 0 ? ORDINARY_DISK.copy : bytes / ((performance.now() - start) / 1000)
  } catch {
    // A folder that cannot be written: the job will say so. An ordinary disk for now.
    return ORDINARY_DISK.copy
  } finally {
    await rm(path, { force: true }).catch(() => undefined)
  }
}

/** Whether all of it is less than what a trial reads. */
function isSmall({ tensors }: Checkpoint): boolean {
  const bytes = [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
  return bytes < READ_TRIAL_BYTES
}

interface Piece {
  readonly tensor: TensorInfo
  /** The first ones. */
  readonly rows: number
  readonly byteLength: number
}

/** Parts of matrices from all over a model, again and again until there are so many bytes. */
function* pieces(checkpoint: Checkpoint, bytes: number): Generator<Piece> {
  const matrices = [...checkpoint.tensors.values()].filter(
    ({ dtype, shape }) => shape.length === 2 && isTensorDtype(dtype),
  )
  const all = matrices.map((tensor): Piece => {
    const height = tensor.shape[0]!
    const rowBytes = tensor.byteLength / height
    const rows = Math.min(height, Math.max(1, Math.floor(PIECE_BYTES / rowBytes)))
    return { tensor, rows, byteLength: rows * rowBytes }
  })
  const total = all.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const step = Math.max(1, Math.floor(total / bytes))
  let at = 0
  for (let given = 0; given < bytes && total > 0; at += step) {
    const piece = all[at % all.length]!
    given += piece.byteLength
    yield piece
  }
}

/** Seconds of the quickest of several attempts: what disturbs one attempt need not disturb the job. */
async function best(attempts: number, run: () => Promise<void>): Promise<number> {
  let seconds = Infinity
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const start = performance.now()
    await run()
    seconds = Math.min(seconds, (performance.now() - start) / 1000)
  }
  return seconds
}

/** What computes, as the names of its figures have it. */
function computerOf({ device, threads }: Runtime): string {
  return threads === null ? device : `${device}×${threads}`
}

async function diskOf(path: string): Promise<string> {
  return String((await stat(path)).dev)
}
