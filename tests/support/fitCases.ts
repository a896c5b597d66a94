/** @file Small models with new blocks whose statistics and directions were computed with PyTorch: `tests/fixtures/fitting`. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SOLVER_ITERATIONS } from '../../src/main/engine/fitting/direction'
import { batchOf, PRETRAIN_CASES, writePretrainCase } from './pretrainCases'

/** Names of models of `pretrainCases`: grouped queries; biases on q, k and v, tied; q/k norms; every bias, a long text; fused. */
export const FIT_CASES = ['llama', 'qwen2', 'norms', 'long', 'phi3'] as const
export type FitCase = (typeof FIT_CASES)[number]

/** The layers after which blocks stand: two in one gap, and one after the last layer. */
export const FIT_LAYERS = [1, 3, 3, 5]

/** Outputs of the blocks: zero; or half of what the layer itself has, without its biases. */
export const FIT_STARTS = { zero: 0, half: 0.5 } as const
export type FitStart = keyof typeof FIT_STARTS

export interface MatrixSample {
  readonly shape: readonly number[]
  /** Euclidean. */
  readonly norm: number
  /** At equal distances from the first element on, row-major. */
  readonly values: readonly number[]
}

/** Of one block and one output matrix; sums over tokens, and the direction with as many iterations as ours. */
export interface FitSample {
  readonly features: MatrixSample
  readonly gradient: MatrixSample
  readonly slopes: MatrixSample
  readonly direction: MatrixSample
  /** The same system solved exactly. */
  readonly exact: MatrixSample
}

export interface FitReference {
  readonly what: string
  /** For each start: the mean nll, the loss a step of {@link FIT_STEP} along all directions away, and each block's samples. */
  readonly starts: Readonly<
    Record<
      FitStart,
      {
        readonly loss: number
        readonly moved: number
        readonly blocks: readonly Readonly<Record<'o_proj' | 'down_proj', FitSample>>[]
      }
    >
  >
}

export const FIT_STEP = 0.1

export function fitWindows(name: FitCase): Int32Array[] {
  return [...batchOf(name, 1), ...batchOf(name, 2)]
}

export async function writeFitCase(dir: string, name: FitCase): Promise<string> {
  await writePretrainCase(dir, name)
  const windows = fitWindows(name).map((window) => [...window])
  const iterations = SOLVER_ITERATIONS
  const facts = { windows, layers: FIT_LAYERS, starts: FIT_STARTS, step: FIT_STEP, iterations }
  await writeFile(join(dir, 'fit.json'), JSON.stringify(facts))
  return dir
}

export function fitContext(name: FitCase): number {
  return PRETRAIN_CASES[name]!.context
}

export function fitReference(name: FitCase): FitReference {
  const file = join(resolve(import.meta.dirname, '../fixtures/fitting'), `${name}.json`)
  return JSON.parse(readFileSync(file, 'utf8')) as FitReference
}
