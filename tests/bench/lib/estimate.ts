/** @file What the program itself says of a run before it begins, to be printed beside what it took. */
import { join } from 'node:path'
import type { EstimatedSpec } from '@shared/engineProtocol'
import { buildExpandSpec, type ExpandOptions } from '../../../src/main/cli/expandSpec'
import { numberOf, runChild } from './measure'
import type { BenchContext, Estimate } from './types'

export interface EstimateTask {
  readonly spec: EstimatedSpec
  /** Keeps the machine's measured speed for the next estimate. */
  readonly calibrationFile: string
}

/** The engine's estimate of a job. */
export async function estimateJob(context: BenchContext, spec: EstimatedSpec): Promise<Estimate> {
  const calibrationFile = join(context.work, '..', 'calibration.json')
  const task: EstimateTask = { spec, calibrationFile }
  const { report } = await runChild(context, 'estimate', task)
  return {
    seconds: [numberOf(report, 'low'), numberOf(report, 'high')],
    peakBytes: numberOf(report, 'hostBytesPeak'),
  }
}

/** The same of `lesa expand` with these options. */
export async function estimateExpand(
  context: BenchContext,
  model: string,
  options: ExpandOptions,
): Promise<Estimate> {
  const spec = await buildExpandSpec(model, options, {
    cwd: context.work,
    shape: () => Promise.reject(new Error('No option of the benchmarks asks for it.')),
  })
  return estimateJob(context, spec)
}
