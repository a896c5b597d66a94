import type { RequestedJobSpec } from '@shared/jobs'
import type { JobManager } from '../../jobs/JobManager'
import type { PathGrants } from '../PathGrants'
import type { Handlers } from '../router'
import type { Estimator } from './projects'

type JobHandlers = Pick<Handlers, Extract<keyof Handlers, `jobs:${string}`>>

export interface JobServices {
  readonly jobs: JobManager
  readonly grants: PathGrants
  readonly estimate: Estimator
  /** The order of the waiting jobs has changed. */
  readonly onReordered: (ids: readonly string[]) => void
}

export function jobHandlers({ jobs, grants, estimate, onReordered }: JobServices): JobHandlers {
  return {
    'jobs:estimate': async (spec) =>
      estimate(await withOpenedPaths(spec, grants), { keepsStages: false, isRecorded: false }),
    'jobs:start': async (spec) => jobs.start(await withOpenedPaths(spec, grants)),
    'jobs:cancel': (id) => jobs.cancel(id),
    'jobs:get': (id) => jobs.get(id),
    'jobs:list': () => jobs.list(),
    'jobs:moveBefore': (id, before) => {
      const list = jobs.moveBefore(id, before)
      onReordered(list.map((job) => job.id))
      return list
    },
  }
}

/**
 * A job runs in another process: no path in its spec may depend on where this one stands, and none may lead out of what
 * the person has opened.
 */
async function withOpenedPaths<S extends RequestedJobSpec>(
  spec: S,
  grants: PathGrants,
): Promise<S> {
  return { ...spec, ...(await openedPaths(spec, grants)) }
}

async function openedPaths(
  spec: RequestedJobSpec,
  grants: PathGrants,
): Promise<Partial<Record<string, unknown>>> {
  const path = (given: string): Promise<string> => grants.require(given)
  switch (spec.kind) {
    case 'expand':
      return {
        model: await path(spec.model),
        out: await path(spec.out),
        ...(spec.job === undefined ? {} : { job: await path(spec.job) }),
      }
    case 'stages':
      return { model: await path(spec.model), job: await path(spec.job) }
    case 'assemble':
      return { job: await path(spec.job), out: await path(spec.out) }
    case 'evaluate':
      return {
        models: await Promise.all(spec.models.map(path)),
        text: await path(spec.text),
      }
    case 'synth':
      return {
        out: await path(spec.out),
        ...('config' in spec.like ? { like: { config: await path(spec.like.config) } } : {}),
      }
  }
}
