import type { RequestedJobSpec } from '@shared/jobs'
import type { JobManager } from '../../jobs/JobManager'
import type { Handlers } from '../router'
import { resolvePath } from '../paths'

type JobHandlers = Pick<Handlers, 'jobs:start' | 'jobs:cancel' | 'jobs:get' | 'jobs:list'>

export function jobHandlers(jobs: JobManager): JobHandlers {
  return {
    'jobs:start': (spec) => jobs.start(withFullPaths(spec)),
    'jobs:cancel': (id) => jobs.cancel(id),
    'jobs:get': (id) => jobs.get(id),
    'jobs:list': () => jobs.list(),
  }
}

/** A job runs in another process: no path in its spec may depend on where this one stands. */
function withFullPaths(spec: RequestedJobSpec): RequestedJobSpec {
  switch (spec.kind) {
    case 'expand':
      return {
        ...spec,
        model: resolvePath(spec.model),
        out: resolvePath(spec.out),
        ...(spec.job === undefined ? {} : { job: resolvePath(spec.job) }),
      }
    case 'stages':
      return { ...spec, model: resolvePath(spec.model), job: resolvePath(spec.job) }
    case 'assemble':
      return { ...spec, job: resolvePath(spec.job), out: resolvePath(spec.out) }
    case 'evaluate':
      return { ...spec, models: spec.models.map(resolvePath), text: resolvePath(spec.text) }
    case 'synth': {
      const { like } = spec
      const resolved = 'config' in like ? { config: resolvePath(like.config) } : like
      return { ...spec, like: resolved, out: resolvePath(spec.out) }
    }
  }
}
