import { DEFAULT_SHARD_BYTES, type PretrainSpec } from '@shared/jobs'
import { formatGaps } from '@shared/methods/gaps'
import { PRETRAIN_DEFAULTS } from '@shared/pretraining'
import { flagOf } from './usage'

/**
 * The arguments with which the command line makes the same job; what is as the defaults are is left out. Its models are
 * named by their folders.
 */
export function pretrainArguments(spec: PretrainSpec): string[] {
  const usual = PRETRAIN_DEFAULTS
  const flag = (
    name: string,
    value: string | number | undefined,
    ordinary: string | number | null,
  ): string[] => (value === undefined || value === ordinary ? [] : [flagOf(name), String(value)])
  const { amount, learningRates } = spec
  const [unit = 'steps', length = usual.steps] = Object.entries(amount)[0] ?? []
  const isUsualRate = learningRates.length === 1 && learningRates[0] === usual.learningRate
  return [
    'pretrain',
    ...spec.models.map(({ path }) => path),
    flagOf('text'),
    ...spec.texts,
    ...flag('out', spec.out, null),
    ...(spec.overwrite ? [flagOf('overwrite')] : []),
    ...flag('textField', spec.textField, usual.textField),
    ...flag('order', spec.order, usual.order),
    ...flag('evalText', spec.evalText, null),
    // Both say what the evaluation loss is measured on.
    ...(spec.evalText === undefined ? flag('evalShare', spec.evalShare, usual.evalShare) : []),
    ...flag('forgettingText', spec.forgettingText, null),
    ...flag('base', spec.base, null),
    ...(unit === 'steps' ? flag('steps', length, usual.steps) : [flagOf(unit), String(length)]),
    ...flag('context', spec.context, null),
    ...flag('batch', spec.batch, usual.batch),
    ...(isUsualRate ? [] : [flagOf('lr'), learningRates.join(',')]),
    ...flag('outputLrFactor', spec.outputRateFactor, usual.outputRateFactor),
    ...flag('schedule', spec.schedule, usual.schedule),
    ...flag('warmup', spec.warmup, null),
    ...flag('weightDecay', spec.weightDecay, usual.weightDecay),
    ...flag('clip', spec.clip, usual.clip),
    ...flag('beta1', spec.beta1, usual.beta1),
    ...flag('beta2', spec.beta2, usual.beta2),
    ...flag('epsilon', spec.epsilon, usual.epsilon),
    ...(spec.train === 'new' ? [] : [flagOf('train'), formatGaps(spec.train)]),
    ...(spec.trainedParts === 'norms' ? [flagOf('normsOnly')] : []),
    ...flag('seeds', spec.repeats, usual.repeats),
    ...flag('seed', spec.seed, usual.seed),
    ...flag('evalEvery', spec.evalEvery, null),
    ...flag('saveEvery', spec.saveEvery, usual.saveEvery),
    ...flag('job', spec.job, null),
    ...flag('memory', spec.memoryBytes, null),
    ...flag('deviceMemory', spec.deviceMemoryBytes, null),
    ...flag('maxShardSize', spec.maxShardBytes, DEFAULT_SHARD_BYTES),
    ...flag('device', spec.device, 'auto'),
  ]
}
