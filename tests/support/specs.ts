import { DEFAULT_SHARD_BYTES, type EvaluateSpec, type ExpandSpec } from '@shared/jobs'

/** A spec that is valid throughout; tests change what they are about. */
export function expandSpec(changes: Partial<ExpandSpec> = {}): ExpandSpec {
  return {
    kind: 'expand',
    model: '/models/base',
    out: '/models/grown',
    overwrite: false,
    method: { name: 'solar' },
    rest: 'mean',
    dtype: 'keep',
    maxShardBytes: DEFAULT_SHARD_BYTES,
    device: 'cpu',
    seed: 0,
    ...changes,
  }
}

export function evaluateSpec(changes: Partial<EvaluateSpec> = {}): EvaluateSpec {
  return {
    kind: 'evaluate',
    models: ['/models/base'],
    text: '/models/base/eval.txt',
    perLine: false,
    device: 'cpu',
    ...changes,
  }
}
