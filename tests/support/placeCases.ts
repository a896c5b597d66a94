/** @file Small models whose places were measured with PyTorch: `tests/fixtures/places`. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SOLVER_ITERATIONS } from '../../src/main/engine/fitting/direction'
import { FIRST_STEP } from '../../src/main/engine/fitting/stepSize'
import { batchOf, PRETRAIN_CASES, writePretrainCase } from './pretrainCases'

/** Names of models of `pretrainCases`: a layer that adds nothing; biases, tied; q/k norms; a sliding window. */
export const PLACE_CASES = ['llama', 'qwen2', 'norms', 'window'] as const
export type PlaceCase = (typeof PLACE_CASES)[number]

/** The longest block that is run twice. */
export const PLACE_BLOCKS = 3

export interface PlaceReference {
  readonly what: string
  readonly base: number
  readonly influence: readonly number[]
  readonly update: readonly number[]
  readonly skip: readonly number[]
  /** By `first-end`. */
  readonly repeats: Readonly<Record<string, number>>
  /** `[n − 1][l]`. */
  readonly angular: readonly (readonly number[])[]
  readonly cosine: readonly number[]
  readonly cka: readonly number[]
  readonly slope: readonly number[]
  readonly copy: readonly number[]
  readonly mean: readonly number[]
  readonly fit: readonly { readonly step: number; readonly loss: number }[]
}

export interface PlaceWindows {
  readonly fit: Int32Array[]
  readonly search: Int32Array[]
  readonly measured: Int32Array[]
}

export function placeWindows(name: PlaceCase): PlaceWindows {
  return {
    fit: [...batchOf(name, 1), ...batchOf(name, 2)],
    search: batchOf(name, 3),
    measured: batchOf(name, 4),
  }
}

export async function writePlaceCase(dir: string, name: PlaceCase): Promise<string> {
  await writePretrainCase(dir, name)
  const windows = Object.fromEntries(
    Object.entries(placeWindows(name)).map(([share, own]: [string, Int32Array[]]) => [
      share,
      own.map((window) => [...window]),
    ]),
  )
  const facts = {
    ...windows,
    blocks: PLACE_BLOCKS,
    iterations: SOLVER_ITERATIONS,
    first: FIRST_STEP,
  }
  await writeFile(join(dir, 'place.json'), JSON.stringify(facts))
  return dir
}

export function placeContext(name: PlaceCase): number {
  return PRETRAIN_CASES[name]!.context
}

export function placeReference(name: PlaceCase): PlaceReference {
  const file = join(resolve(import.meta.dirname, '../fixtures/places'), `${name}.json`)
  return JSON.parse(readFileSync(file, 'utf8')) as PlaceReference
}
