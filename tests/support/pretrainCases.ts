/** @file Small trainings of single layers whose every step was computed with PyTorch: `tests/fixtures/pretraining`. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { scheduleNamed, type Schedule } from '@shared/schedules'
import type { ScheduleName } from '@shared/pretraining'
import type { LayerTrainingSettings } from '../../src/main/engine/pretraining/settings'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from './checkpoints'
import { seededFloats } from './random'

/** Optimiser steps of every case. */
export const STEPS = 50

export interface PretrainCase extends Omit<LayerTrainingSettings, 'schedule'> {
  readonly checkpoint: Omit<TinyCheckpointOptions, 'dir'>
  readonly schedule: ScheduleName
  readonly warmup: number
  readonly context: number
  readonly batch: number
}

/** What `tests/fixtures/pretraining/<name>.json` holds for one case. */
export interface PretrainReference {
  readonly what: string
  /** Mean negative log-likelihood of each step's batch, before the step. */
  readonly losses: readonly number[]
  /** Length of the gradient of all trained tensors together, before it is clipped. */
  readonly gradientNorms: readonly number[]
  /** After the last step, of every trained tensor by name. */
  readonly tensors: Readonly<Record<string, TensorSample>>
}

export interface TensorSample {
  /** Euclidean length of what was added to it. */
  readonly change: number
  /** At equal distances from the first element on, row-major. */
  readonly values: readonly number[]
}

const OPTIMISER = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01 }

const PLAIN: PretrainCase = {
  checkpoint: { layers: 6, scale: silent(2), seed: 31 },
  layers: [2, 4],
  parts: 'all',
  optimiser: OPTIMISER,
  schedule: 'constant',
  warmup: 0,
  outputRateFactor: 1,
  clip: 0.3,
  context: 32,
  batch: 4,
}

/** Beside what a case is called for, all have frozen layers below, between and above those that are trained. */
export const PRETRAIN_CASES: Readonly<Record<string, PretrainCase>> = {
  /** Grouped queries, no biases; one layer starts as LLaMA Pro's do; clipped now and then. */
  llama: PLAIN,
  /** Biases on q, k and v, tied embeddings; clipped throughout. */
  qwen2: {
    ...PLAIN,
    checkpoint: {
      architecture: 'qwen2',
      layers: 6,
      dtype: 'F16',
      shards: 3,
      tieWordEmbeddings: true,
      scale: silent(4),
      seed: 32,
    },
    optimiser: { ...OPTIMISER, weightDecay: 0.1 },
    schedule: 'wsd',
    warmup: 5,
    clip: 0.5,
  },
  /** A batch that no micro-batch but 1 divides; never clipped. */
  accumulated: { ...PLAIN, context: 24, batch: 7, clip: 0 },
  'output-rate': {
    ...PLAIN,
    checkpoint: { layers: 6, scale: silent(2, 4), seed: 33 },
    optimiser: { ...OPTIMISER, learningRate: 3e-4, weightDecay: 0.1 },
    schedule: 'cosine',
    warmup: 8,
    outputRateFactor: 10,
  },
  /** Those of queries and keys too. */
  norms: {
    ...PLAIN,
    checkpoint: { architecture: 'qwen3', layers: 6, headDim: 16, dtype: 'F32', seed: 34 },
    optimiser: { ...OPTIMISER, learningRate: 3e-2 },
    parts: 'norms',
  },
  /** Every bias; more tokens than one chunk of queries; the topmost layer. */
  long: {
    ...PLAIN,
    checkpoint: {
      layers: 6,
      attentionBias: true,
      mlpBias: true,
      scale: silent(5),
      seed: 35,
    },
    layers: [3, 5],
    context: 150,
    batch: 2,
  },
  /** More tokens than one chunk of queries, and than the window; the lowest layer. */
  window: {
    ...PLAIN,
    checkpoint: {
      architecture: 'mistral',
      layers: 6,
      kvHeads: 1,
      config: { sliding_window: 20 },
      scale: silent(3),
      seed: 36,
    },
    layers: [0, 3],
    context: 150,
    batch: 2,
  },
  /** Fused matrices, heads of which half is turned. */
  phi3: {
    ...PLAIN,
    checkpoint: {
      architecture: 'phi3',
      layers: 6,
      hidden: 64,
      headDim: 16,
      config: { partial_rotary_factor: 0.5 },
      scale: silent(2),
      seed: 37,
    },
  },
}

/** These layers add nothing to what goes through them. */
function silent(...layers: number[]): (name: string) => number {
  return (name) => {
    const [, layer, module] = /\.layers\.(\d+)\..*?(\w+)\.(?:weight|bias)$/.exec(name) ?? []
    const isOutput = module === 'o_proj' || module === 'down_proj'
    return isOutput && layers.includes(Number(layer)) ? 0 : 1
  }
}

/** Writes a case's checkpoint into a folder, and beside it `case.json`: all that the script needs. */
export async function writePretrainCase(dir: string, name: string): Promise<string> {
  const { checkpoint, ...settings } = pretrainCase(name)
  await writeTinyCheckpoint({ ...checkpoint, dir })
  const windows = Array.from({ length: STEPS }, (_, step) =>
    batchOf(name, step + 1).map((window) => [...window]),
  )
  await writeFile(join(dir, 'case.json'), JSON.stringify({ ...settings, windows }))
  return dir
}

export function pretrainCase(name: string): PretrainCase {
  const found = PRETRAIN_CASES[name]
  if (found) return found
  throw new Error(`There is no case "${name}".`)
}

export function scheduleOf({ schedule, warmup }: PretrainCase): Schedule {
  return scheduleNamed(schedule, STEPS, warmup)
}

/** The windows of a step, counted from 1: each token says a good deal about the next. */
export function batchOf(name: string, step: number): Int32Array[] {
  const { batch, context, checkpoint } = pretrainCase(name)
  const seed = (checkpoint.seed ?? 0) * 1000 + step
  const draws = seededFloats(batch * context, seed, [0, 1])
  return Array.from({ length: batch }, (_, row) => {
    const window = new Int32Array(context)
    let token = 0
    for (let at = 0; at < context; at += 1) {
      const draw = draws[row * context + at] ?? 0
      token = at === 0 ? Math.floor(61 * draw) : (3 * token + 7 + Math.floor(3 * draw)) % 61
      window[at] = token
    }
    return window
  })
}

export function pretrainReference(name: string): PretrainReference {
  const file = join(resolve(import.meta.dirname, '../fixtures/pretraining'), `${name}.json`)
  return JSON.parse(readFileSync(file, 'utf8')) as PretrainReference
}
