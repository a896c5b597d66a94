import { resolvePaths, type RequestedJobSpec } from '@shared/jobs'
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
  // A job runs in another process: no path in its spec may depend on where this one stands, and none may lead out of
  // what the person has opened.
  const opened = <S extends RequestedJobSpec>(spec: S): Promise<S> =>
    resolvePaths(spec, (path) => grants.require(path))
  return {
    'jobs:estimate': async (spec) =>
      estimate(await opened(spec), { keepsStages: false, isRecorded: false }),
    'jobs:start': async (spec) => jobs.start(await opened(spec)),
    'jobs:cancel': (id) => jobs.cancel(id),
    'jobs:pause': (id) => jobs.pause(id),
    'jobs:get': (id) => jobs.get(id),
    'jobs:list': () => jobs.list(),
    'jobs:moveBefore': (id, before) => {
      const list = jobs.moveBefore(id, before)
      onReordered(list.map((job) => job.id))
      return list
    },
  }
}
