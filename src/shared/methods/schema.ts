import { z } from 'zod'
import { SHARE, type Bounds } from '../bounds'
import {
  LENGTH_BOUNDS,
  PREDICTOR_FIELDS,
  PREDICTOR_KEYS,
  PREDICTOR_PRESETS,
  type PredictorSettings,
} from '../predictorSettings'
import { MAX_GAPS } from './gaps'
import {
  ALL_OPTIONS,
  DEFAULT_METHOD,
  METHODS,
  methodNamed,
  type AllOptions,
  type Method,
  type MethodSpec,
  type OptionKey,
} from './index'
import { defaultOf, isOptional, type Option, type OptionalOption, type ValueOf } from './options'

export const methodSchema = z.enum(METHODS)
export const presetSchema = z.enum(PREDICTOR_PRESETS)

const layerIndex = z.int().min(0).max(100_000)

export function numberSchema({ min, max, isWhole, excludes }: Bounds): z.ZodType<number> {
  const type = isWhole ? z.int() : z.number()
  const above = excludes === 'min' ? type.gt(min) : type.min(min)
  return excludes === 'max' ? above.lt(max) : above.max(max)
}

const lengthSchema = z.discriminatedUnion('unit', [
  z.object({ unit: z.literal('epochs'), value: numberSchema(LENGTH_BOUNDS.epochs) }),
  z.object({ unit: z.literal('steps'), value: numberSchema(LENGTH_BOUNDS.steps) }),
])

export const predictorSettingsSchema = z.object(
  Object.fromEntries(
    PREDICTOR_KEYS.map((key) => {
      const field = PREDICTOR_FIELDS[key]
      return [key, field.kind === 'length' ? lengthSchema : numberSchema(field.bounds)]
    }),
  ),
) as z.ZodType<unknown> as z.ZodType<PredictorSettings>

function valueSchema(option: Option): z.ZodType {
  switch (option.kind) {
    case 'gaps':
      return z.array(layerIndex).min(1).max(MAX_GAPS)
    case 'count':
      return z.int().min(option.min)
    case 'range':
      return z.tuple([layerIndex, layerIndex])
    case 'whole':
      return z.int().min(option.min).max(option.max)
    case 'switch':
    case 'flag':
      return z.boolean()
    case 'pattern':
      return z.literal(true)
    case 'share':
      return numberSchema(SHARE)
    case 'layers':
      // Before it could be several it was one.
      return z.union([
        z.array(layerIndex).min(1).max(MAX_GAPS),
        layerIndex.transform((layer) => [layer]),
      ])
    case 'predictor':
      return predictorSettingsSchema
  }
}

function specSchema(name: Method) {
  const options = Object.entries(methodNamed(name).options).map(([key, option]) => {
    const value = valueSchema(option)
    return [key, isOptional(option) ? value.optional() : value] as const
  })
  return z.object({ name: z.literal(name), ...Object.fromEntries(options) })
}

/** Checks a method with its parameters. Made of the methods' options, as its type is. */
export const methodSpecSchema = z.discriminatedUnion('name', [
  specSchema(DEFAULT_METHOD),
  ...METHODS.filter((name) => name !== DEFAULT_METHOD).map(specSchema),
]) as z.ZodType<unknown> as z.ZodType<MethodSpec>

/** Every option of every method, `null` where it is left to the default. */
export type DraftOptions = {
  readonly [Key in OptionKey]: AllOptions[Key] extends OptionalOption
    ? ValueOf<AllOptions[Key]> | null
    : ValueOf<AllOptions[Key]>
}

/** Their schemas. What an older draft lacks is left to the default. */
export const draftOptionSchemas: Readonly<Record<string, z.ZodType>> = Object.fromEntries(
  ALL_OPTIONS.map(([key, option]) => {
    const value = valueSchema(option)
    if (isOptional(option)) return [key, value.nullable().default(null)]
    const isLater = option.kind === 'whole' || option.kind === 'flag'
    return [key, isLater ? value.default(defaultOf(option)) : value]
  }),
)
