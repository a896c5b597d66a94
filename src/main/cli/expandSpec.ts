import { resolve } from 'node:path'
import { AppError } from '@shared/errors'
import {
  DEFAULT_SHARD_BYTES,
  expandSpecSchema,
  stagesSpecSchema,
  type ExpandSpec,
  type StagesSpec,
} from '@shared/jobs'
import { usesPredictions } from '@shared/heldOut'
import { defaultHoldout, someLayers } from '@shared/holdout'
import type { CalibrationSpec } from '@shared/jobs/growth'
import { canAlign, fitsText, methodNamed, type Method, type MethodSpec } from '@shared/methods'
import { parseGaps } from '@shared/methods/gaps'
import { defaultOf, isLayoutOption, isOptional } from '@shared/methods/options'
import {
  isPredictorNumber,
  PREDICTOR_KEYS,
  presetFor,
  PRESET_SETTINGS,
  type ModelShape,
  type PredictorPreset,
  type PredictorSettings,
} from '@shared/predictorSettings'
import { checkedSpec, uncapitalise } from './checkedSpec'
import {
  attributeOfField,
  attributeOfOption,
  METHOD_FLAGS,
  type MethodOptions,
} from './methodFlags'
import { flagOf, UsageError } from './usage'

/** The options of `expand` as they were given; what was not given is absent. */
export interface ExpandOptions extends MethodOptions {
  /** Absent only with `--only`, which writes no checkpoint. */
  readonly out?: string
  readonly method: Method
  /** A mergekit recipe, which says method, places and element type. */
  readonly plan?: string
  readonly device?: ExpandSpec['device']
  readonly dtype?: ExpandSpec['dtype']
  readonly allowOverflow?: boolean
  readonly maxShardSize?: number
  readonly seed?: number
  readonly overwrite?: boolean
  /** `false` with `--no-recipes`. */
  readonly recipes?: boolean
}

export interface SpecContext {
  /** Paths are relative to it. */
  readonly cwd: string
  /** Looks into the model; asked only when an option, or the default of one, depends on it. */
  readonly shape: () => Promise<ModelShape>
}

/** Where a value of the spec comes from, for the message when it is out of range. */
const FLAG_OF_FIELD: Readonly<Record<string, string>> = {
  model: 'MODEL',
  also: '--also',
  'method.predictor.length': '--epochs or --steps',
  ...Object.fromEntries(
    PREDICTOR_KEYS.filter(isPredictorNumber).map((key) => [
      `method.predictor.${key}`,
      flagOf(attributeOfField(key)),
    ]),
  ),
  'method.rounds': '--rounds',
  'calibration.tokens': '--calibration-tokens',
  'calibration.context': '--calibration-context',
  damp: '--damp',
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
  if (options.out === undefined) throw new UsageError("required option '--out <dir>' not specified")
  const growth = await buildGrowth(model, options, context)
  return checkedSpec(
    expandSpecSchema,
    {
      kind: 'expand',
      ...growth,
      out: resolve(context.cwd, options.out),
      overwrite: options.overwrite ?? false,
      maxShardBytes: options.maxShardSize ?? DEFAULT_SHARD_BYTES,
      ...(options.recipes === false ? { recipes: false } : {}),
    },
    FLAG_OF_FIELD,
  )
}

/**
 * The same for `--only`: a part of the job, which writes nothing but the job's folder.
 *
 * @throws UsageError
 */
export async function buildStagesSpec(
  model: string,
  options: ExpandOptions & { readonly only: string },
  context: SpecContext & {
    readonly weightTypes: (method: MethodSpec) => Promise<readonly string[]>
  },
): Promise<StagesSpec> {
  const growth = await buildGrowth(model, options, context)
  if (options.job === undefined) throw new UsageError('--only needs --job, where results are kept')
  if (options.out !== undefined) {
    throw new UsageError('--only writes no checkpoint: give --out to lesa assemble')
  }
  if (options.recipes === false) {
    throw new UsageError('--only writes no checkpoint: give --no-recipes to lesa assemble')
  }
  const only = options.only.split(',').map((type) => type.trim())
  const spec = checkedSpec(stagesSpecSchema, { kind: 'stages', ...growth, only }, FLAG_OF_FIELD)
  const known = await context.weightTypes(spec.method)
  if (!only.every((type) => known.includes(type))) {
    const expected = known.map((type) => `"${type}"`).join('|')
    throw new UsageError(`--only: invalid option: expected one of ${expected}`)
  }
  return spec
}

async function buildGrowth(
  model: string,
  options: ExpandOptions,
  context: SpecContext,
): Promise<object> {
  rejectUnused(options)
  const { also } = options
  return {
    model: resolve(context.cwd, model),
    method: await buildMethod(options, context),
    ...(also === undefined ? {} : { also: also.map((each) => resolve(context.cwd, each)) }),
    rest: options.rest ?? 'mean',
    ...(options.damp === undefined ? {} : { damp: options.damp }),
    ...(options.align === true ? { align: true } : {}),
    dtype: options.dtype ?? 'keep',
    ...(options.allowOverflow === true ? { allowOverflow: true } : {}),
    device: options.device ?? 'auto',
    seed: options.seed ?? 0,
    ...calibrationOf(options, context.cwd),
    ...(options.memory === undefined ? {} : { memoryBytes: options.memory }),
    ...(options.deviceMemory === undefined ? {} : { deviceMemoryBytes: options.deviceMemory }),
    ...(options.job === undefined ? {} : { job: resolve(context.cwd, options.job) }),
  }
}

/** What a start is fitted to, or its damping chosen on. @throws UsageError where that needs a text, or nothing does. */
function calibrationOf(
  { method, damp, text, oldText, calibrationTokens: tokens, calibrationContext }: ExpandOptions,
  cwd: string,
): { readonly calibration?: CalibrationSpec } {
  if (text === undefined) {
    if (fitsText(method)) {
      throw new UsageError(`--method ${method} needs --text, which the new layers are fitted to`)
    }
    if (damp === 'auto') throw new UsageError('--damp auto needs --text, on which it is chosen')
    const lonely = Object.entries({ oldText, calibrationTokens: tokens, calibrationContext }).find(
      ([, value]) => value !== undefined,
    )
    if (lonely) throw new UsageError(`${flagOf(lonely[0])} needs --text`)
    return {}
  }
  // Whether there are experts to match the model's folder says.
  if (!fitsText(method) && damp !== 'auto' && !canAlign(method)) {
    throw new UsageError(`--text is not used by ${method}`)
  }
  return {
    calibration: {
      text: resolve(cwd, text),
      ...(oldText === undefined ? {} : { oldText: resolve(cwd, oldText) }),
      ...(tokens === undefined ? {} : { tokens }),
      ...(calibrationContext === undefined ? {} : { context: calibrationContext }),
    },
  }
}

async function buildMethod(options: ExpandOptions, context: SpecContext): Promise<MethodSpec> {
  const given: Readonly<Record<string, unknown>> = { ...options }
  const spec: Record<string, unknown> = { name: options.method }
  for (const [key, option] of Object.entries(methodNamed(options.method).options)) {
    const value = given[attributeOfOption(key, option)]
    if (option.kind === 'layers') {
      const layers = await heldOut(options, context)
      if (layers) spec[key] = layers
    } else if (option.kind === 'predictor') spec[key] = await buildPredictor(options, context)
    else if (value === undefined) {
      if (!isOptional(option)) spec[key] = defaultOf(option)
    } else if (option.kind === 'gaps' && typeof value === 'string') spec[key] = readGaps(value)
    else spec[key] = value
  }
  // What is out of range is found by the schema of the whole spec.
  return spec as unknown as MethodSpec
}

/** The layers to hold out, `null` for none. */
async function heldOut(
  { method, holdout }: ExpandOptions,
  context: SpecContext,
): Promise<readonly number[] | null> {
  if (holdout === false || (holdout === undefined && !usesPredictions(method))) return null
  if (typeof holdout === 'object') return holdout
  const { num_hidden_layers: layers } = await context.shape()
  if (holdout === undefined) return defaultHoldout(layers)
  return holdout === true ? [Math.floor(layers / 2)] : someLayers(layers)
}

async function buildPredictor(
  options: ExpandOptions,
  context: SpecContext,
): Promise<PredictorSettings> {
  const { epochs, steps } = options
  if (epochs !== undefined && steps !== undefined) {
    throw new UsageError('--epochs and --steps exclude each other: both say how long to train')
  }
  const preset = PRESET_SETTINGS[options.preset ?? (await defaultPreset(options, context))]
  const length =
    epochs !== undefined
      ? ({ unit: 'epochs', value: epochs } as const)
      : steps !== undefined
        ? ({ unit: 'steps', value: steps } as const)
        : preset.length
  const given: Readonly<Record<string, unknown>> = { ...options }
  const numbers = PREDICTOR_KEYS.filter(isPredictorNumber).map((key) => {
    const value = given[attributeOfField(key)]
    return [key, value ?? preset[key]] as const
  })
  return { ...preset, ...Object.fromEntries(numbers), length }
}

/** By the model's size, unless the length of training is given. */
async function defaultPreset(
  { epochs, steps, svd, batchSize }: ExpandOptions,
  context: SpecContext,
): Promise<PredictorPreset> {
  if (epochs !== undefined || steps !== undefined) return 'paper'
  const model = await context.shape()
  return presetFor(model, {
    ...(svd === undefined ? {} : { useSvd: svd }),
    ...(batchSize === undefined ? {} : { batchSize }),
  })
}

function readGaps(text: string): number[] {
  try {
    return parseGaps(text)
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown
    throw new UsageError(`--${uncapitalise(thrown.message).replace(/\.$/, '')}`)
  }
}

/** An option that does nothing for the method is a mistake worth hearing of before hours of work. */
function rejectUnused(options: ExpandOptions): void {
  const given: Readonly<Record<string, unknown>> = { ...options }
  for (const { attribute, value, methods } of Object.values(METHOD_FLAGS).flat()) {
    const own = given[attribute]
    const isGiven = value === 'none' ? own === false : own !== undefined && own !== false
    if (!isGiven || methods.includes(options.method)) continue
    const flag = value === 'none' ? `no-${attribute}` : attribute
    throw new UsageError(
      `${flagOf(flag)} is not used by ${options.method}; methods that use it: ${methods.join(', ')}`,
    )
  }
  for (const [key, option] of Object.entries(methodNamed(options.method).options)) {
    const other = isLayoutOption(option) ? option.excludes : undefined
    if (other === undefined || given[key] === undefined || given[other] === undefined) continue
    throw new UsageError(
      `${flagOf(key)} and ${flagOf(other)} exclude each other: both say where the new layers go`,
    )
  }
  if (options.svd === false && options.energy !== undefined) {
    throw new UsageError(
      '--energy and --no-svd exclude each other: without the SVD nothing is cut off',
    )
  }
}
