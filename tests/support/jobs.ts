import { runJob } from '../../src/main/engine/process/runJob'
import type {
  EvaluateResult,
  EvaluateSpec,
  ExpandResult,
  ExpandSpec,
  JobEvent,
  JobResult,
  JobSpec,
} from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { PRESET_SETTINGS, type PredictorPreset } from '@shared/predictorSettings'

/** Runs a task in this process to its end and returns what it said and its result. */
export async function runTask(
  spec: JobSpec,
  options: { readonly signal?: AbortSignal; readonly onEvent?: (event: JobEvent) => void } = {},
): Promise<{ result: JobResult; events: JobEvent[] }> {
  const events: JobEvent[] = []
  const job = runJob(spec, { signal: options.signal ?? new AbortController().signal })
  for (;;) {
    const next = await job.next()
    if (next.done) return { result: next.value, events }
    events.push(next.value)
    options.onEvent?.(next.value)
  }
}

export async function runExpand(spec: ExpandSpec): Promise<ExpandResult> {
  const { result } = await runTask(spec)
  if (result.kind !== 'expand') throw new Error('not an expand result')
  return result
}

export async function runEvaluate(spec: EvaluateSpec): Promise<EvaluateResult> {
  const { result } = await runTask(spec)
  if (result.kind !== 'evaluate') throw new Error('not an evaluate result')
  return result
}

/** LESA (or its noise control) with a preset. */
export function learnedMethod(
  preset: PredictorPreset = 'paper',
  changes: Partial<Extract<MethodSpec, { name: 'lesa' }>> = {},
): Extract<MethodSpec, { name: 'lesa' }> {
  return { name: 'lesa', useSvd: true, energy: 1, predictor: PRESET_SETTINGS[preset], ...changes }
}
