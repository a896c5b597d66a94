import {
  DEFAULT_SHARD_BYTES,
  type EvaluateSpec,
  type ExpandSpec,
  type GenerateSpec,
  type PlaceSpec,
  type PretrainSpec,
} from '@shared/jobs'
import { GENERATION_DEFAULTS } from '@shared/generation'
import { PRETRAIN_DEFAULTS } from '@shared/pretraining'

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

export function generateSpec(changes: Partial<GenerateSpec> = {}): GenerateSpec {
  return {
    kind: 'generate',
    models: ['/base'],
    prompt: 'The prompt',
    ...GENERATION_DEFAULTS,
    device: 'cpu',
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

export function pretrainSpec(changes: Partial<PretrainSpec> = {}): PretrainSpec {
  const { steps, learningRate, ...rest } = PRETRAIN_DEFAULTS
  return {
    kind: 'pretrain',
    models: [{ path: '/models/grown', name: 'grown' }],
    texts: ['/texts/train.txt'],
    amount: { steps },
    learningRates: [learningRate],
    ...rest,
    train: 'new',
    trainedParts: 'all',
    out: '/models/trained',
    overwrite: false,
    maxShardBytes: DEFAULT_SHARD_BYTES,
    device: 'cpu',
    ...changes,
  }
}

export function placeSpec(changes: Partial<PlaceSpec> = {}): PlaceSpec {
  return {
    kind: 'place',
    model: '/models/base',
    text: '/texts/new.txt',
    blocks: 1,
    candidates: [],
    device: 'cpu',
    seed: 0,
    ...changes,
  }
}
