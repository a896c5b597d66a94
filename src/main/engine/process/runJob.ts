import type { JobEvent, JobKindName, JobResult, JobSpec } from '@shared/jobs'
import type { JobEnv, JobRunner } from '../jobs/runner'

/** Runs a job of any kind: yields what happens, returns its result. The code of a kind is loaded when one first runs. */
export async function* runJob(spec: JobSpec, env: JobEnv): AsyncGenerator<JobEvent, JobResult> {
  const run = await loadRunner(spec.kind)
  return yield* run(spec, env)
}

/** Each kind of job is a file of `jobs/` with its name. */
export async function loadRunner<K extends JobKindName>(kind: K): Promise<JobRunner<K>> {
  const module = (await import(`../jobs/${kind}.ts`)) as { readonly run: JobRunner<K> }
  return module.run
}
