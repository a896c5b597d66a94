import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { WeightType } from './weightTypes'

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(resolve(import.meta.dirname, '../fixtures/oracle', name), 'utf8'))

export interface OracleType {
  readonly loss_per_epoch: readonly (readonly number[])[]
  readonly mse: readonly number[]
  readonly mse_zero: readonly number[]
  readonly mse_mean: readonly number[]
  readonly norm_ratio: readonly number[]
}

export interface OracleRun {
  readonly ppl: readonly number[]
  readonly types: Readonly<Record<WeightType, OracleType>>
}

/** Numbers computed for the demo model in PyTorch and NumPy; see `what` in the file. */
export const oracle = fixture('demo.json') as {
  readonly context: number
  readonly tokens: number
  readonly first_ids: readonly number[]
  readonly gaps: readonly number[]
  readonly ppl: Readonly<
    Record<
      'base' | 'solar_overlap3' | 'interpolation' | 'llama_pro_same_gaps' | 'neighbour_mean',
      number
    >
  >
  readonly singular_values: Readonly<Record<WeightType, readonly number[]>>
  readonly logits_first48_last_position: readonly number[]
  readonly lesa: Readonly<Record<'paper' | 'notebook' | 'no_svd', OracleRun>>
}

/** Three AdamW steps of a small predictor in PyTorch. */
export const predictorSteps = fixture('predictor-steps.json') as {
  readonly lambda_: number
  readonly initial: Readonly<Record<string, number[] | number[][]>>
  readonly steps: readonly Readonly<Record<string, unknown>>[]
}

export const DEMO_MODEL = resolve(import.meta.dirname, '../../resources/demo-model')
