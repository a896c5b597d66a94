import { resolve } from 'node:path'
import {
  DEFAULT_SHARD_BYTES,
  MAX_RACERS,
  pretrainSpecSchema,
  type PretrainSpec,
} from '@shared/jobs'
import { folderNamesOf } from '@shared/paths'
import { PRETRAIN_DEFAULTS, type ScheduleName, type TextOrder } from '@shared/pretraining'
import { parseRanges } from '@shared/ranges'
import { checkedSpec } from './checkedSpec'
import { flagOf, UsageError } from './usage'

/** The options of `pretrain` as they were given; what was not given is absent. */
export interface PretrainOptions {
  readonly text: readonly string[]
  readonly out: string
  readonly overwrite?: boolean
  readonly textField?: string
  readonly order?: TextOrder
  readonly evalText?: string
  readonly evalShare?: number
  readonly forgettingText?: string
  /** `new`, or layers such as `4,6-9`. */
  readonly train?: string
  readonly normsOnly?: boolean
  readonly steps?: number
  readonly tokens?: number
  readonly epochs?: number
  readonly context?: number
  readonly batch?: number
  readonly lr?: readonly number[]
  readonly outputLrFactor?: number
  readonly schedule?: ScheduleName
  readonly warmup?: number
  readonly weightDecay?: number
  readonly clip?: number
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
  readonly base?: string
  readonly seeds?: number
  readonly seed?: number
  readonly evalEvery?: number
  readonly saveEvery?: number
  readonly job?: string
  readonly maxShardSize?: number
  readonly device?: PretrainSpec['device']
  readonly memory?: number
  readonly deviceMemory?: number
}

/** A folder of a checkpoint, and what people call it. */
export interface NamedModel {
  readonly path: string
  readonly name: string
}

const LENGTHS = ['steps', 'tokens', 'epochs'] as const

const FLAGS: Readonly<Record<string, string>> = {
  models: 'MODEL',
  texts: '--text',
  'amount.steps': '--steps',
  'amount.tokens': '--tokens',
  'amount.epochs': '--epochs',
  learningRates: '--lr',
  outputRateFactor: '--output-lr-factor',
  trainedParts: '--norms-only',
  repeats: '--seeds',
  memoryBytes: '--memory',
  deviceMemoryBytes: '--device-memory',
  maxShardBytes: '--max-shard-size',
}

/**
 * Makes the job's spec from the command line's options.
 *
 * @param models Their names need not differ.
 * @param base As `--base` names it.
 * @param cwd What the paths of the options start from.
 * @throws UsageError when an option contradicts another or is out of range.
 */
export function buildPretrainSpec(
  models: readonly NamedModel[],
  base: string | undefined,
  options: PretrainOptions,
  cwd: string,
): PretrainSpec {
  const at = (path: string): string => resolve(cwd, path)
  const usual = PRETRAIN_DEFAULTS
  const { textField, evalText, forgettingText, job, lr, memory, deviceMemory } = options
  refuseTwice(models)
  if (evalText !== undefined && options.evalShare !== undefined) {
    throw new UsageError(
      '--eval-text and --eval-share exclude each other: both say what the evaluation loss is measured on',
    )
  }
  const names = folderNamesOf(models.map(({ name }) => name))
  const spec = checkedSpec(
    pretrainSpecSchema,
    {
      kind: 'pretrain',
      models: models.map(({ path }, index) => ({ path, name: names[index] })),
      ...given({ base }),
      texts: options.text.map(at),
      textField: textField ?? usual.textField,
      ...given({ evalText: evalText && at(evalText) }),
      evalShare: options.evalShare ?? usual.evalShare,
      ...given({ forgettingText: forgettingText && at(forgettingText) }),
      amount: amountOf(options),
      ...given({ context: options.context }),
      batch: options.batch ?? usual.batch,
      learningRates: lr === undefined ? [usual.learningRate] : [...new Set(lr)],
      outputRateFactor: options.outputLrFactor ?? usual.outputRateFactor,
      schedule: options.schedule ?? usual.schedule,
      ...given({ warmup: options.warmup }),
      weightDecay: options.weightDecay ?? usual.weightDecay,
      beta1: options.beta1 ?? usual.beta1,
      beta2: options.beta2 ?? usual.beta2,
      epsilon: options.epsilon ?? usual.epsilon,
      clip: options.clip ?? usual.clip,
      train: trainedLayers(options.train ?? 'new'),
      trainedParts: options.normsOnly === true ? 'norms' : 'all',
      ...given({ evalEvery: options.evalEvery }),
      saveEvery: options.saveEvery ?? usual.saveEvery,
      order: options.order ?? usual.order,
      seed: options.seed ?? usual.seed,
      repeats: options.seeds ?? usual.repeats,
      ...given({ job: job && at(job), memoryBytes: memory, deviceMemoryBytes: deviceMemory }),
      device: options.device ?? 'auto',
      out: at(options.out),
      overwrite: options.overwrite ?? false,
      maxShardBytes: options.maxShardSize ?? DEFAULT_SHARD_BYTES,
    },
    FLAGS,
  )
  refuseTooMany(spec)
  refuseLongWarmup(spec)
  return spec
}

/** Without what is `undefined`. */
function given(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function refuseTwice(models: readonly NamedModel[]): void {
  const twice = models.find(({ path }, index) =>
    models.slice(0, index).some((other) => other.path === path),
  )
  if (twice) throw new UsageError(`MODEL: expected each model once, given ${twice.path} twice`)
}

function amountOf(options: PretrainOptions): object {
  const [unit, another] = LENGTHS.filter((name) => options[name] !== undefined)
  if (another !== undefined) {
    throw new UsageError(
      `${flagOf(unit ?? '')} and ${flagOf(another)} exclude each other: both say how long to train`,
    )
  }
  return unit === undefined ? { steps: PRETRAIN_DEFAULTS.steps } : { [unit]: options[unit] }
}

function trainedLayers(text: string): PretrainSpec['train'] {
  if (text.trim() === 'new') return 'new'
  const read = parseRanges(text)
  if ('numbers' in read) return [...new Set(read.numbers)].sort((a, b) => a - b)
  throw new UsageError(`--train: expected new, or layers such as 4,6-9, given ${read.wrong}`)
}

function refuseTooMany({ models, repeats }: PretrainSpec): void {
  const trainings = models.length * repeats
  if (trainings <= MAX_RACERS) return
  throw new UsageError(
    `--seeds: expected at most ${MAX_RACERS} trainings of all models together, given ${trainings}`,
  )
}

/** A rate that only rises never reaches what `--lr` says. */
function refuseLongWarmup({ amount, warmup }: PretrainSpec): void {
  if (!('steps' in amount) || warmup === undefined || warmup < amount.steps) return
  throw new UsageError(`--warmup: expected fewer than the ${amount.steps} steps, given ${warmup}`)
}
