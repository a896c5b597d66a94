import { resolve } from 'node:path'
import { AppError } from '@shared/errors'
import {
  DEFAULT_SHARD_BYTES,
  expandSpecSchema,
  stagesSpecSchema,
  type ExpandSpec,
  type StagesSpec,
} from '@shared/jobs'
import type { z } from 'zod'
import type { Method, MethodSpec } from '@shared/methods'
import { parseGaps } from '@shared/plan'
import {
  PRESET_SETTINGS,
  type PredictorPreset,
  type PredictorSettings,
} from '@shared/predictorSettings'
import { METHOD_OPTIONS, type MethodOption } from './choices'
import { flagOf, UsageError } from './usage'

/** The options of `expand` as they were given; what was not given is absent. */
export interface ExpandOptions {
  /** Absent only with `--only`, which writes no checkpoint. */
  readonly out?: string
  readonly method: Method
  readonly gaps?: string
  readonly groups?: number
  readonly overlap?: number
  readonly repeat?: readonly [first: number, last: number]
  readonly preset?: PredictorPreset
  readonly epochs?: number
  readonly steps?: number
  readonly lambda?: number
  readonly lr?: number
  readonly batchSize?: number
  readonly hiddenSize?: number
  readonly weightDecay?: number
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
  readonly energy?: number
  /** `false` for `--no-svd`. */
  readonly svd?: boolean
  /** `true` for the middle layer. */
  readonly holdout?: number | true
  readonly rest?: ExpandSpec['rest']
  readonly device?: ExpandSpec['device']
  readonly dtype?: ExpandSpec['dtype']
  readonly maxShardSize?: number
  readonly seed?: number
  readonly overwrite?: boolean
  readonly memory?: number
  readonly deviceMemory?: number
  readonly job?: string
  /** Weight types, comma-separated. */
  readonly only?: string
}

export interface SpecContext {
  /** Paths are relative to it. */
  readonly cwd: string
  /** Counts the model's layers; asked only when an option depends on it. */
  readonly countLayers: () => Promise<number>
}

/** Where a value of the spec comes from, for the message when it is out of range. */
const FLAG_OF_FIELD: Readonly<Record<string, string>> = {
  model: 'MODEL',
  'method.predictor.length': '--epochs or --steps',
  'method.predictor.learningRate': '--lr',
  maxShardBytes: '--max-shard-size',
  memoryBytes: '--memory',
  deviceMemoryBytes: '--device-memory',
}

/**
 * Makes the job's spec from the command line's options.
 *
 * @throws UsageError when an option does not suit the method, contradicts another or is out of range.
 */
export async function buildExpandSpec(
  model: string,
  options: ExpandOptions,
  context: SpecContext,
): Promise<ExpandSpec> {
  const growth = await buildGrowth(model, options, context)
  if (options.out === undefined) throw new UsageError("required option '--out <dir>' not specified")
  return checked(expandSpecSchema, {
    kind: 'expand',
    ...growth,
    out: resolve(context.cwd, options.out),
    overwrite: options.overwrite ?? false,
    maxShardBytes: options.maxShardSize ?? DEFAULT_SHARD_BYTES,
  })
}

/**
 * The same for `--only`: a part of the job, which writes nothing but the job's folder.
 *
 * @throws UsageError
 */
export async function buildStagesSpec(
  model: string,
  options: ExpandOptions & { readonly only: string },
  context: SpecContext,
): Promise<StagesSpec> {
  const growth = await buildGrowth(model, options, context)
  if (options.job === undefined) throw new UsageError('--only needs --job, where results are kept')
  if (options.out !== undefined) {
    throw new UsageError('--only writes no checkpoint: give --out to lesa assemble')
  }
  const only = options.only.split(',').map((type) => type.trim())
  return checked(stagesSpecSchema, { kind: 'stages', ...growth, only })
}

async function buildGrowth(
  model: string,
  options: ExpandOptions,
  context: SpecContext,
): Promise<object> {
  rejectUnused(options)
  return {
    model: resolve(context.cwd, model),
    method: await buildMethod(options, context),
    rest: options.rest ?? 'mean',
    dtype: options.dtype ?? 'keep',
    device: options.device ?? 'auto',
    seed: options.seed ?? 0,
    ...(options.memory === undefined ? {} : { memoryBytes: options.memory }),
    ...(options.deviceMemory === undefined ? {} : { deviceMemoryBytes: options.deviceMemory }),
    ...(options.job === undefined ? {} : { job: resolve(context.cwd, options.job) }),
  }
}

function checked<T>(schema: z.ZodType<T>, spec: unknown): T {
  const parsed = schema.safeParse(spec)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new UsageError(
    `${flagOfPath(issue?.path ?? [])}: ${uncapitalise(issue?.message ?? 'wrong')}`,
  )
}

async function buildMethod(options: ExpandOptions, context: SpecContext): Promise<MethodSpec> {
  const { method } = options
  switch (method) {
    case 'lesa':
    case 'noise':
      return {
        name: method,
        ...readGaps(options.gaps),
        useSvd: options.svd ?? true,
        energy: options.energy ?? 1,
        predictor: buildPredictor(options),
        ...(await readHoldout(options.holdout, context)),
      }
    case 'interpolation':
    case 'neighbour-mean':
      return { name: method, ...readGaps(options.gaps) }
    case 'llama-pro':
      return { name: method, ...(options.groups === undefined ? {} : { groups: options.groups }) }
    case 'solar':
      return {
        name: method,
        ...(options.overlap === undefined ? {} : { overlap: options.overlap }),
      }
    case 'stack':
      return {
        name: method,
        ...(options.repeat === undefined ? {} : { repeat: [...options.repeat] }),
      }
  }
}

function buildPredictor(options: ExpandOptions): PredictorSettings {
  const preset = PRESET_SETTINGS[options.preset ?? 'paper']
  if (options.epochs !== undefined && options.steps !== undefined) {
    throw new UsageError('--epochs and --steps exclude each other: both say how long to train')
  }
  return {
    lambda: options.lambda ?? preset.lambda,
    length:
      options.epochs !== undefined
        ? { unit: 'epochs', value: options.epochs }
        : options.steps !== undefined
          ? { unit: 'steps', value: options.steps }
          : preset.length,
    hiddenSize: options.hiddenSize ?? preset.hiddenSize,
    batchSize: options.batchSize ?? preset.batchSize,
    learningRate: options.lr ?? preset.learningRate,
    beta1: options.beta1 ?? preset.beta1,
    beta2: options.beta2 ?? preset.beta2,
    epsilon: options.epsilon ?? preset.epsilon,
    weightDecay: options.weightDecay ?? preset.weightDecay,
  }
}

function readGaps(text: string | undefined): { gaps?: number[] } {
  if (text === undefined) return {}
  try {
    return { gaps: parseGaps(text) }
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown
    throw new UsageError(`--${uncapitalise(thrown.message).replace(/\.$/, '')}`)
  }
}

async function readHoldout(
  holdout: number | true | undefined,
  { countLayers }: SpecContext,
): Promise<{ holdout?: number }> {
  if (holdout === undefined) return {}
  return { holdout: holdout === true ? Math.floor((await countLayers()) / 2) : holdout }
}

/** An option that does nothing for the method is a mistake worth hearing of before hours of work. */
function rejectUnused(options: ExpandOptions): void {
  const used: readonly string[] = METHOD_OPTIONS[options.method]
  for (const option of Object.values<readonly MethodOption[]>(METHOD_OPTIONS).flat()) {
    if (used.includes(option) || !isGiven(options, option)) continue
    throw new UsageError(
      `${flagOf(option)} is not used by ${options.method}; methods that use it: ${methodsWith(option).join(', ')}`,
    )
  }
  if (options.svd === false && options.energy !== undefined) {
    throw new UsageError(
      '--energy and --no-svd exclude each other: without the SVD nothing is cut off',
    )
  }
}

function isGiven(options: ExpandOptions, option: MethodOption): boolean {
  return option === 'svd' ? options.svd === false : options[option] !== undefined
}

/** The methods that use an option. */
export function methodsWith(option: MethodOption): string[] {
  return Object.entries<readonly string[]>(METHOD_OPTIONS)
    .filter(([, used]) => used.includes(option))
    .map(([method]) => method)
}

function flagOfPath(path: readonly PropertyKey[]): string {
  const names = path.map(String)
  for (let end = names.length; end > 0; end -= 1) {
    const flag = FLAG_OF_FIELD[names.slice(0, end).join('.')]
    if (flag !== undefined) return flag
  }
  // The last name that is not an index is the option's own.
  return flagOf(names.filter((name) => !/^\d+$/.test(name)).at(-1) ?? 'options')
}

function uncapitalise(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
