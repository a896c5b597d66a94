import type { EngineCalls } from '@shared/engineProtocol'
import type { JobEvent, JobResult, JobSpec } from '@shared/jobs'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { estimate } from '../costs/estimate'
import { probeDevices } from '../onnx/devices'
import { readConfigText, tensorTable } from '../queries/describe'
import { previewExport } from '../queries/exportPreview'
import { previewGrowth } from '../queries/growthPreview'
import { fingerprintOf, identifyModel } from '../queries/identity'
import { projectDirections } from '../queries/projectDirections'
import { engineVersions } from '../lib/version'
import { assemble } from './assemble'
import { evaluate } from './evaluate'
import { expand } from './expand'
import { exportModel } from './export'
import type { JobEnv } from './JobEnv'
import { stages } from './stages'
import { statistics } from './statistics'
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
      return statistics(spec, env)
    case 'export':
      return exportModel(spec, env)
  }
}

/** Questions outside of jobs: short, or at least harmless to ask again. */
export const engineCalls: EngineCalls = {
  inspect: (path) => Checkpoint.inspect(path),
  devices: () => probeDevices(),
  versions: () => engineVersions(),
  identify: (path) => identifyModel(path),
  fingerprint: (path) => fingerprintOf(path),
  config: (path) => readConfigText(path),
  tensors: (path) => tensorTable(path),
  growth: (path, settings) => previewGrowth(path, settings),
  estimate: (request) => estimate(request),
  projection: (request) => projectDirections(request),
  exportPreview: (spec) => previewExport(spec),
}
