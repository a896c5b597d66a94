import type { JobSnapshot } from '@shared/jobs'
import { METHOD_NAMES } from '@shared/methods'
import { baseName } from './paths'

/** What a job does, in a few words. */
export function describeJob(job: JobSnapshot): string {
  const { spec, owner } = job
  switch (spec.kind) {
    case 'expand':
      return owner?.run === undefined
        ? `Growing with ${METHOD_NAMES[spec.method.name]}`
        : `${owner.run}: growing with ${METHOD_NAMES[spec.method.name]}`
    case 'evaluate':
      return spec.models.length === 1
        ? `Measuring perplexity of ${baseName(spec.models[0] ?? '')}`
        : `Measuring perplexity of ${spec.models.length} models`
    case 'statistics':
      return `Statistics of ${baseName(spec.model)}`
    case 'export':
      return `Exporting to ${baseName(spec.out)}`
    case 'synth':
      return `Writing ${baseName(spec.out)}`
    case 'stages':
      return `Computing ${spec.only.join(', ')}`
    case 'assemble':
      return `Assembling ${baseName(spec.out)}`
  }
}
