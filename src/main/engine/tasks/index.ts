import type { EngineCalls } from '@shared/engineProtocol'
import { AppError } from '@shared/errors'
import type { JobEvent, JobResult, JobSpec } from '@shared/jobs'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { probeDevices } from '../onnx/devices'
import { assemble } from './assemble'
import { evaluate } from './evaluate'
import { expand } from './expand'
import type { JobEnv } from './JobEnv'
import { stages } from './stages'
import { synth } from './synth'

export type { JobEnv } from './JobEnv'

/** Runs a job of any kind: yields what happens, returns its result. */
export function runJob(spec: JobSpec, env: JobEnv): AsyncGenerator<JobEvent, JobResult> {
  switch (spec.kind) {
    case 'expand':
      return expand(spec, env)
    case 'evaluate':
      return evaluate(spec, env)
    case 'synth':
      return synth(spec, env)
    case 'stages':
      return stages(spec, env)
    case 'assemble':
      return assemble(spec, env)
    case 'statistics':
    case 'export':
      throw new AppError('bug', `Jobs of the kind "${spec.kind}" are not available yet.`)
  }
}

/** Short questions, answered at once. */
export const engineCalls: EngineCalls = {
  inspect: (path) => Checkpoint.inspect(path),
  devices: () => probeDevices(),
}
