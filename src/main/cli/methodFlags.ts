/**
 * @file The flags of `expand` that only some methods use, made of the methods' options. Every other flag suits them all.
 */
import { DAMP, DAMP_CHOICES, type Damp } from '@shared/damping'
import {
  ALL_OPTIONS,
  fitsText,
  hasStages,
  canAlign,
  canDamp,
  learns,
  METHODS,
  methodNamed,
  REST_CHOICES,
  type AllOptions,
  type Method,
  type RestChoice,
} from '@shared/methods'
import { isLayoutOption, type Option, type Options } from '@shared/methods/options'
import {
  PLACED_PREDICTOR_KEYS,
  PREDICTOR_FIELDS,
  PREDICTOR_PRESETS,
  type PredictorKey,
  type PredictorNumber,
  type PredictorPreset,
} from '@shared/predictorSettings'
import { flagOf } from './usage'

export interface MethodFlag {
  /** Commander's name for it. */
  readonly attribute: string
  /** With the name of its value: `--gaps <list>`. */
  readonly flags: string
  readonly help: string
  readonly value:
    | 'text'
    | 'flag'
    | 'damp'
    | 'integer'
    | 'decimal'
    | 'size'
    | 'layers'
    | 'holdout'
    | 'none'
    | readonly string[]
  readonly methods: readonly Method[]
}

type Fields = typeof PREDICTOR_FIELDS
type Attribute<Key extends PredictorNumber> = Fields[Key] extends { readonly flag: infer Name }
  ? Name & string
  : Key
type OptionAttribute<Key extends string> = Key extends `use${infer Rest}` ? Uncapitalize<Rest> : Key

interface Given {
  gaps: string
  count: number
  range: readonly [first: number, last: number]
  /** `false` for `--no-x`. */
  switch: boolean
  flag: boolean
  pattern: boolean
  share: number
  whole: number
  /** `true` for the middle layer, `false` for none. */
  layers: readonly number[] | 'some' | boolean
  predictor: never
}

/** Their values as they were given; what was not given is absent. */
export type MethodOptions = {
  readonly [Key in keyof AllOptions as OptionAttribute<Key>]?: Given[AllOptions[Key]['kind']]
} & { readonly [Key in PredictorNumber as Attribute<Key>]?: number } & {
  readonly preset?: PredictorPreset
  readonly epochs?: number
  readonly steps?: number
  readonly rest?: RestChoice
  readonly text?: string
  readonly oldText?: string
  readonly calibrationTokens?: number
  readonly calibrationContext?: number
  readonly damp?: Damp
  readonly align?: boolean
  readonly also?: readonly string[]
  readonly memory?: number
  readonly deviceMemory?: number
  readonly job?: string
  /** Weight types, comma-separated. */
  readonly only?: string
}

/** `learningRate` → `lr`. */
export function attributeOfField(key: PredictorNumber): string {
  const field = PREDICTOR_FIELDS[key]
  return 'flag' in field ? field.flag : key
}

/** `useSvd` → `svd`. */
export function attributeOfOption(key: string, option: Option): string {
  const name = key.slice('use'.length)
  return option.kind === 'switch' ? name.charAt(0).toLowerCase() + name.slice(1) : key
}

/** Those that train come first, as they have the most to choose. */
const learnedFirst = (methods: readonly Method[]): Method[] => [
  ...methods.filter(learns),
  ...methods.filter((name) => !learns(name)),
]

const LEARNED = METHODS.filter(learns)
const STAGED = METHODS.filter(hasStages)
/** Those that compute for long, on a device. */
const COMPUTING = METHODS.filter((name) => learns(name) || fitsText(name))
const DAMPED = METHODS.filter(canDamp)
const ALIGNED = METHODS.filter(canAlign)
/** Those that a text can be given to: to fit to, or to choose the damping on. */
const CALIBRATED = METHODS.filter((name) => fitsText(name) || canDamp(name))
const COMPUTED = METHODS.filter((name) => methodNamed(name).fill !== undefined)
const withOption = (key: string): Method[] =>
  METHODS.filter((name) => key in methodNamed(name).options)

const VALUES = {
  gaps: { name: '<list>', value: 'text' },
  count: { name: '<n>', value: 'integer' },
  range: { name: '<a-b>', value: 'layers' },
  share: { name: '<share>', value: 'decimal' },
  whole: { name: '<n>', value: 'integer' },
  switch: { name: '', value: 'none' },
  flag: { name: '', value: 'flag' },
  pattern: { name: '', value: 'flag' },
  layers: { name: '[layers]', value: 'holdout' },
} as const

function flagOfOption(key: string, option: Exclude<Option, { kind: 'predictor' }>): MethodFlag {
  const attribute = attributeOfOption(key, option)
  const methods = withOption(key)
  const { name, value } = VALUES[option.kind]
  const help = isLayoutOption(option)
    ? `${option.help} (${learnedFirst(methods).join(', ')}; default: ${option.defaultText}${insteadOf(key, methods)})`
    : option.kind === 'pattern'
      ? `${option.help} (${learnedFirst(methods).join(', ')})`
      : option.help
  const flag = option.kind === 'switch' ? flagOf(`no-${attribute}`) : flagOf(attribute)
  return { attribute, flags: `${flag} ${name}`.trim(), help, value, methods }
}

/** After the flag itself, which otherwise would be on unless it is negated. */
function negationOf(key: string, option: Option): MethodFlag[] {
  if (option.kind !== 'layers') return []
  const help = 'the same as --holdout none'
  return [
    { attribute: key, flags: flagOf(`no-${key}`), help, value: 'none', methods: withOption(key) },
  ]
}

/** For which methods it stands in the place of another flag, which they take by default. */
function insteadOf(key: string, methods: readonly Method[]): string {
  return methods
    .map((name) => {
      const options: Options = methodNamed(name).options
      const option = options[key]
      const other = option && isLayoutOption(option) ? option.excludes : undefined
      const keys = Object.keys(options)
      return other !== undefined && keys.indexOf(other) < keys.indexOf(key)
        ? `; ${name}: instead of ${flagOf(other)}`
        : ''
    })
    .join('')
}

function flagsOfPredictor(key: PredictorKey): MethodFlag[] {
  const field = PREDICTOR_FIELDS[key]
  if (field.kind === 'length') {
    return (['epochs', 'steps'] as const).map((unit) => ({
      attribute: unit,
      flags: `${flagOf(unit)} <n>`,
      help: field.help[unit],
      value: 'integer',
      methods: LEARNED,
    }))
  }
  const isWhole = 'isWhole' in field.bounds
  const attribute = 'flag' in field ? field.flag : key
  return [
    {
      attribute,
      flags: `${flagOf(attribute)} ${isWhole ? '<n>' : '<x>'}`,
      help: field.help,
      value: isWhole ? 'integer' : 'decimal',
      methods: LEARNED,
    },
  ]
}

/** Kinds of options whose flags stand in groups of their own. */
const ELSEWHERE: readonly Option['kind'][] = ['whole', 'flag', 'pattern']

const entries = [...ALL_OPTIONS].sort(([, a], [, b]) => (a.place ?? 0) - (b.place ?? 0))

/** In the groups of the help; the later ones concern the methods that train. */
export const METHOD_FLAGS: Readonly<
  Record<'layers' | 'fitting' | 'training' | 'machines', readonly MethodFlag[]>
> = {
  layers: [
    ...entries.flatMap(([key, option]) =>
      isLayoutOption(option) || option.kind === 'pattern' ? [flagOfOption(key, option)] : [],
    ),
    {
      attribute: 'rest',
      flags: '--rest <from>',
      help: `norm weights and biases of computed layers (${learnedFirst(COMPUTED).join(', ')}; default: mean)`,
      value: REST_CHOICES,
      methods: COMPUTED,
    },
    {
      attribute: 'damp',
      flags: '--damp <x>',
      help: `factor of what new layers add at first, 0 to ${DAMP.max}, or auto: the best of ${DAMP_CHOICES.join(', ')} on --text (default: 1)`,
      value: 'damp',
      methods: DAMPED,
    },
    {
      attribute: 'align',
      flags: '--align',
      help: `match neurons and heads of the layers before new ones are computed (${learnedFirst(ALIGNED).join(', ')})`,
      value: 'flag',
      methods: ALIGNED,
    },
    ...entries.flatMap(([key, option]) =>
      option.kind === 'flag' ? [flagOfOption(key, option)] : [],
    ),
  ],
  fitting: [
    {
      attribute: 'text',
      flags: '--text <path>',
      help: 'text to fit to, or to choose --damp on, of the kind that the grown model is to learn: .txt, .jsonl, either gzipped, .parquet, or a folder',
      value: 'text',
      methods: CALIBRATED,
    },
    {
      attribute: 'oldText',
      flags: '--old-text <path>',
      help: 'text of the kind that the base knows, a quarter of what is fitted to: against forgetting',
      value: 'text',
      methods: CALIBRATED,
    },
    ...entries.flatMap(([key, option]) =>
      option.kind === 'whole' ? [flagOfOption(key, option)] : [],
    ),
    {
      attribute: 'calibrationTokens',
      flags: '--calibration-tokens <n>',
      help: 'tokens that a round is fitted to (default: 4 times intermediate_size, at least 4096)',
      value: 'integer',
      methods: CALIBRATED,
    },
    {
      attribute: 'calibrationContext',
      flags: '--calibration-context <n>',
      help: "tokens of a window (default: the model's own context, at most 512, fewer for a short text)",
      value: 'integer',
      methods: CALIBRATED,
    },
  ],
  training: [
    {
      attribute: 'also',
      flags: '--also <model...>',
      help: 'further checkpoints of the same model, whose layers predictors learn from too',
      value: 'text',
      methods: LEARNED,
    },
    {
      attribute: 'preset',
      flags: '--preset <name>',
      help: 'starting point of all that follows (default: paper; small where its epochs are too few)',
      value: PREDICTOR_PRESETS,
      methods: LEARNED,
    },
    ...entries.flatMap(([key, option]) => {
      if (isLayoutOption(option) || ELSEWHERE.includes(option.kind)) return []
      return option.kind === 'predictor'
        ? PLACED_PREDICTOR_KEYS.flatMap(flagsOfPredictor)
        : [flagOfOption(key, option), ...negationOf(key, option)]
    }),
  ],
  machines: [
    {
      attribute: 'memory',
      flags: '--memory <size>',
      help: 'bound on host memory, such as 8GB (default: what is free)',
      value: 'size',
      methods: COMPUTING,
    },
    {
      attribute: 'deviceMemory',
      flags: '--device-memory <size>',
      help: 'memory of a GPU that weights and samples may take to stay there (default: 4GB)',
      value: 'size',
      methods: COMPUTING,
    },
    {
      attribute: 'job',
      flags: '--job <dir>',
      help: "keep the stages' results here: a later run takes up what it shares with this one",
      value: 'text',
      methods: STAGED,
    },
    {
      attribute: 'only',
      flags: '--only <types>',
      help: 'compute these weight types only, such as gate_proj,up_proj, into --job; then lesa assemble',
      value: 'text',
      methods: LEARNED,
    },
  ],
}
