import { DEFAULT_SHARD_BYTES, type ExpandSpec } from '@shared/jobs'
import {
  fitsText,
  hasStages,
  isLearned,
  methodNamed,
  type LearnedMethodSpec,
} from '@shared/methods'
import { usesPredictions } from '@shared/heldOut'
import { formatGaps } from '@shared/methods/gaps'
import {
  isPredictorNumber,
  PREDICTOR_KEYS,
  PREDICTOR_PRESETS,
  PRESET_SETTINGS,
  type PredictorPreset,
  type PredictorSettings,
} from '@shared/predictorSettings'
import { attributeOfField, attributeOfOption } from './methodFlags'
import { flagOf } from './usage'

/** The arguments with which the command line makes the same job; what is as the defaults are is left out. */
export function expandArguments(spec: ExpandSpec): string[] {
  const {
    method,
    calibration,
    rest,
    dtype,
    device,
    seed,
    maxShardBytes,
    memoryBytes,
    deviceMemoryBytes,
  } = spec
  const { also, damp, align } = spec
  const flag = (
    name: string,
    value: string | number | undefined,
    usual: string | number | null,
  ): string[] => (value === undefined || value === usual ? [] : [flagOf(name), String(value)])
  return [
    'expand',
    spec.model,
    ...flag('out', spec.out, null),
    ...flag('method', method.name, null),
    ...(spec.overwrite ? ['--overwrite'] : []),
    ...optionFlags(spec),
    ...(also === undefined ? [] : [flagOf('also'), ...also]),
    ...(isLearned(method) ? predictorFlags(method.predictor) : []),
    ...(methodNamed(method.name).fill === undefined ? [] : flag('rest', rest, 'mean')),
    ...(calibration === undefined
      ? []
      : [
          ...flag('text', calibration.text, null),
          ...flag('oldText', calibration.oldText, null),
          ...flag('calibrationTokens', calibration.tokens, null),
          ...flag('calibrationContext', calibration.context, null),
        ]),
    ...flag('damp', damp, null),
    ...(align === true ? ['--align'] : []),
    ...(isLearned(method) || fitsText(method.name)
      ? [...flag('memory', memoryBytes, null), ...flag('deviceMemory', deviceMemoryBytes, null)]
      : []),
    ...(hasStages(method.name) ? flag('job', spec.job, null) : []),
    ...flag('dtype', dtype, 'keep'),
    ...flag('maxShardSize', maxShardBytes, DEFAULT_SHARD_BYTES),
    ...(spec.recipes === false ? ['--no-recipes'] : []),
    ...flag('device', device, 'auto'),
    ...flag('seed', seed, 0),
  ]
}

/** What the method itself lets people choose. */
function optionFlags({ method }: ExpandSpec): string[] {
  const given: Readonly<Record<string, unknown>> = method
  return Object.entries(methodNamed(method.name).options).flatMap(([key, option]): string[] => {
    const value = given[key]
    const attribute = attributeOfOption(key, option)
    if (option.kind === 'layers') {
      if (value !== undefined) return [flagOf(attribute), (value as readonly number[]).join(',')]
      // Some would be, by default.
      return usesPredictions(method.name) ? [flagOf(`no-${attribute}`)] : []
    }
    if (option.kind === 'predictor' || value === undefined) return []
    switch (option.kind) {
      case 'switch':
        return value === true ? [] : [flagOf(`no-${attribute}`)]
      case 'flag':
      case 'pattern':
        return value === true ? [flagOf(attribute)] : []
      case 'gaps':
        return [flagOf(attribute), formatGaps(value as readonly number[])]
      case 'range':
        return [flagOf(attribute), (value as readonly number[]).join('-')]
      case 'share': {
        // Without the decomposition nothing is cut off, and the flag is refused.
        const isUsed = value !== 1 && (method as LearnedMethodSpec).useSvd
        return isUsed ? [flagOf(attribute), String(Number(value))] : []
      }
      case 'whole':
        return value === option.default ? [] : [flagOf(attribute), String(Number(value))]
      case 'count':
        return [flagOf(attribute), String(Number(value))]
    }
  })
}

/** The preset that is nearest, and what differs from it. */
function predictorFlags(settings: PredictorSettings): string[] {
  const differing = (preset: PredictorPreset): string[] => {
    const usual = PRESET_SETTINGS[preset]
    const { unit, value } = settings.length
    const isSameLength = unit === usual.length.unit && value === usual.length.value
    return [
      ...(isSameLength ? [] : [flagOf(unit), String(value)]),
      ...PREDICTOR_KEYS.filter(isPredictorNumber).flatMap((key) =>
        settings[key] === usual[key] ? [] : [flagOf(attributeOfField(key)), String(settings[key])],
      ),
    ]
  }
  const [nearest] = PREDICTOR_PRESETS.map((preset) => ({ preset, flags: differing(preset) })).sort(
    (a, b) => a.flags.length - b.flags.length,
  )
  if (!nearest) return []
  // Always named: without one it would depend on the model.
  return ['--preset', nearest.preset, ...nearest.flags]
}

/** As one line for the shell that people have on the platform: PowerShell on Windows, else any POSIX shell. */
export function quoteCommand(words: readonly string[], platform: NodeJS.Platform): string {
  return words
    .map((word) => {
      if (platform === 'win32') {
        return /^[\w:.\\/-]+$/.test(word) ? word : `'${word.replaceAll("'", "''")}'`
      }
      return /^[\w:./,=+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
    })
    .join(' ')
}
