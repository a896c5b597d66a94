import { AppError } from '@shared/errors'
import { shownValue } from '@shared/text'
import { otherTypes, slidingLayers, slidingWindow } from './layerTypes'
import {
  parseRopes,
  type LayerRope,
  type QueryGrowth,
  type RopeConfig,
  type RopeRules,
} from './ropeConfig'

/** One view of `config.json`, whatever spelling the file uses, with the architecture's defaults filled in. */
export interface ModelConfig {
  readonly modelType: string
  /** `architectures[0]`, `LlamaForCausalLM` for instance. */
  readonly architectureName: string
  readonly numHiddenLayers: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numAttentionHeads: number
  readonly numKeyValueHeads: number
  readonly headDim: number
  readonly vocabSize: number
  readonly rmsNormEps: number
  readonly hiddenAct: string
  readonly tieWordEmbeddings: boolean
  /** Of queries, keys and values. */
  readonly attentionBias: boolean
  readonly outputBias: boolean
  readonly mlpBias: boolean
  readonly maxPositionEmbeddings: number | null
  readonly scales: ModelScales
  readonly rope: RopeConfig
  /** Of the layers that attend locally, where they have angles of their own. */
  readonly localRope: RopeConfig | null
  /** By which of the two each layer turns queries and keys. */
  readonly layerRopes: readonly LayerRope[]
  readonly queryGrowth: QueryGrowth | null
  /** Window of each layer in tokens, the query itself included; `null` means full attention. */
  readonly windows: readonly (number | null)[]
  /** Of layers that have experts in place of one MLP; `null` where no layer has. */
  readonly experts: ExpertConfig | null
  /** Last layers that have no keys and values, and take those of earlier ones. */
  readonly sharingLayers: number
  /** By layer, its entry of `layer_types` where that is none of attention's: `linear_attention`; `null` elsewhere. */
  readonly otherTypes: readonly (string | null)[]
  /**
   * What only its family's shapes follow from, by the config's keys, defaults filled in; 1 stands for true and 0 for false.
   */
  readonly own: Readonly<Record<string, number>>
  /** Of layers that have a short convolution in place of attention; `null` where no layer has. */
  readonly convolution: ConvolutionConfig | null
}

/** Short convolutions over the tokens: which layers have one, and how far it sees. */
export interface ConvolutionConfig {
  /** Tokens that one sees, itself included. */
  readonly taps: number
  /** Of its kernel and of the matrices around it. */
  readonly hasBias: boolean
  /** By layer. */
  readonly isConvolution: readonly boolean[]
}

/** A mixture of experts: which layers have one, and how a token's are chosen. */
export interface ExpertConfig {
  readonly count: number
  /** Experts that a token passes: those with the highest softmax of the router's scores. */
  readonly perToken: number
  /** Neurons of an expert; `ModelConfig.intermediateSize` is that of a layer without experts. */
  readonly intermediateSize: number
  /** Of the expert that every token passes; `null` without one. */
  readonly sharedIntermediateSize: number | null
  /** Whether the chosen experts' weights are made to sum to 1. */
  readonly normalises: boolean
  /** By layer. */
  readonly isSparse: readonly boolean[]
}

/** Constants that a forward pass multiplies by, and bounds. */
export interface ModelScales {
  readonly embeddings: number
  /** Of what each branch adds to the residual stream. */
  readonly residual: number
  /** Of the scores of queries and keys; 1/√(head size) in most models. */
  readonly queries: number
  readonly logits: number
  /** c of c·tanh(x/c), applied to scores before the mask; `null` without. */
  readonly attentionCap: number | null
  /** What no element of queries, keys and values exceeds, once they are normalised; `null` without. */
  readonly projectionBound: number | null
  /** A bound of the logits as of scores, once they are scaled. */
  readonly logitCap: number | null
}

/**
 * Which layers attend through a sliding window of `sliding_window` tokens: `global`, all of them; `by_type`, those whose
 * entry of `layer_types` says so; `null`, none. With `isSwitched` none does unless `use_sliding_window` is set.
 */
export interface WindowRule {
  readonly layers: 'global' | 'by_type'
  readonly isSwitched: boolean
  /** The key of the layer number from which older loaders count the sliding ones; `null` without. */
  readonly startKey: 'max_window_layers' | null
}

/** A key of the config, and what its absence means. */
export interface KeyRule<Value> {
  readonly key: string
  readonly absent: Value
}

/** Values of the reference's configuration class for keys without which a config says nothing. */
export type Sizes = Readonly<
  Record<
    | 'vocab_size'
    | 'hidden_size'
    | 'intermediate_size'
    | 'num_hidden_layers'
    | 'num_attention_heads'
    | 'max_position_embeddings',
    number
  >
>

/** Where the activation is named; `names` has others of the same. */
export interface ActivationRule extends KeyRule<string> {
  readonly names?: Readonly<Record<string, string>>
}

/** Where a family's config says what, and what it means where it says nothing: the reference implementation's defaults. */
export interface ConfigRules {
  readonly modelType: string
  readonly architectureName: string
  /** The key under which the decoder's own keys lie, `text_config`; `null` for the top. */
  readonly path: string | null
  /** When `num_key_value_heads` is absent; `null` means as many as query heads. */
  readonly defaultKeyValueHeads: number | null
  /** When `head_dim` is absent; `null` means hidden size over heads. */
  readonly defaultHeadDim: number | null
  readonly defaultRmsNormEps: number
  /** The key of that. */
  readonly rmsNormEpsKey: string
  /** Neurons of an MLP. */
  readonly intermediateSize: (fields: Fields) => number
  readonly activation: ActivationRule
  /** When `tie_word_embeddings` is absent. */
  readonly tiedByDefault: boolean
  /** The name that older configs have for `tie_word_embeddings`, and that counts before it; `null` without. */
  readonly olderTieKey: string | null
  /**
   * Where the decoder's keys lie under a path: whether `tie_word_embeddings` at the top counts by itself, or the decoder's
   * own as well, and what its absence at the top means.
   */
  readonly outerTie: { readonly absent: boolean; readonly orDecoder: boolean } | null
  /** What a decoder's config may leave out inside another; `null` where nothing. Of its own, a model says all of it. */
  readonly sizes: Sizes | null
  readonly biases: Readonly<Record<'attention' | 'output' | 'mlp', KeyRule<boolean>>>
  /** What differs from the scales of a model without any. */
  readonly scales: (fields: Fields, hiddenSize: number) => Partial<ModelScales>
  /** Tokens, when `sliding_window` is absent; `null` means full attention. */
  readonly defaultSlidingWindow: number | null
  readonly window: WindowRule | null
  /** For families with experts: what the config says of them. */
  readonly experts: ((fields: Fields, layers: number) => ExpertConfig | null) | null
  /** The key of how many of the last layers take keys and values from earlier ones; `null` where none does. */
  readonly sharingKey: 'num_kv_shared_layers' | null
  /** The key of what single layers have of their own, by their numbers, where the family knows such; `null` elsewhere. */
  readonly layerConfigsKey: 'per_layer_config' | null
  /** What `layer_types` may have beside full attention. */
  readonly otherTypes: readonly string[]
  /** As of `ModelConfig`. */
  readonly own: (fields: Fields, sizes: OwnSizes) => ModelConfig['own']
  /** The same for families with short convolutions. */
  readonly convolution: ((fields: Fields, layers: number) => ConvolutionConfig | null) | null
  /** Lists with one entry per layer that the family goes by, and what a loader takes where the config has none. */
  readonly layerLists: Readonly<Record<string, LayerList>>
  readonly rope: RopeRules
  /** Keys whose lists name layers, as opposed to lists with one entry per layer. */
  readonly layerIndexLists: readonly string[]
}

/** What a family's own shapes may depend on. */
export type OwnSizes = Pick<
  ModelConfig,
  'hiddenSize' | 'numHiddenLayers' | 'headDim' | 'numKeyValueHeads'
>

/** What a list has for a layer where the config has none. */
export type LayerList = (fields: Fields, layer: number) => unknown

/** The keys and values of a `config.json`. */
export type RawConfig = Readonly<Record<string, unknown>>

/** A layer count beyond any model there is; guards against a config made to exhaust memory. */
const MAX_LAYERS = 100_000

/** The layer's sliding window in tokens (keys `i−W < j ≤ i` are seen), or `null` for full attention. */
export function windowOfLayer(config: ModelConfig, layer: number): number | null {
  return config.windows[layer] ?? null
}

/**
 * Reads a supported architecture's config.
 *
 * @param file Named in errors.
 * @throws AppError `bad_checkpoint` naming the field, what was expected and what was found.
 */
export function parseConfig(raw: RawConfig, rules: ConfigRules, file: string): ModelConfig {
  const fields = decoderFields(raw, rules, file)
  refuseLayerConfigs(fields, rules)
  refuseBidirectional(fields)
  const numHiddenLayers = fields.natural('num_hidden_layers', { max: MAX_LAYERS })
  const hiddenSize = fields.natural('hidden_size')
  const numAttentionHeads = fields.natural('num_attention_heads')
  const numKeyValueHeads = fields.natural('num_key_value_heads', {
    absent: rules.defaultKeyValueHeads ?? numAttentionHeads,
    // The reference reads an explicit null as "no grouping" whatever the default is.
    whenNull: numAttentionHeads,
  })
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw fields.bad('num_key_value_heads', `a divisor of the ${numAttentionHeads} heads`)
  }
  const sizeOfHead = headDim(fields, rules, hiddenSize, numAttentionHeads)
  const { biases } = rules
  const flag = ({ key, absent }: KeyRule<boolean>): boolean => fields.flag(key, absent)
  return {
    modelType: rules.modelType,
    architectureName: rules.architectureName,
    numHiddenLayers,
    hiddenSize,
    intermediateSize: rules.intermediateSize(fields),
    numAttentionHeads,
    numKeyValueHeads,
    headDim: sizeOfHead,
    vocabSize: fields.natural('vocab_size'),
    rmsNormEps: fields.number(rules.rmsNormEpsKey, { absent: rules.defaultRmsNormEps, least: 0 }),
    hiddenAct: activation(fields, rules.activation),
    tieWordEmbeddings: isTied(new Fields(raw, file), fields, rules),
    attentionBias: flag(biases.attention),
    outputBias: flag(biases.output),
    mlpBias: flag(biases.mlp),
    maxPositionEmbeddings: fields.has('max_position_embeddings')
      ? fields.natural('max_position_embeddings')
      : null,
    scales: {
      embeddings: 1,
      residual: 1,
      queries: sizeOfHead ** -0.5,
      logits: 1,
      attentionCap: null,
      projectionBound: null,
      logitCap: null,
      ...rules.scales(fields, hiddenSize),
    },
    ...parseRopes(fields, rules, { headDim: sizeOfHead, layers: numHiddenLayers }),
    windows: parseWindows(fields, rules, numHiddenLayers),
    experts: rules.experts?.(fields, numHiddenLayers) ?? null,
    sharingLayers:
      rules.sharingKey === null
        ? 0
        : fields.natural(rules.sharingKey, {
            min: 0,
            max: numHiddenLayers - 1,
            absent: 0,
            whenNull: 0,
          }),
    otherTypes: otherTypes(fields, rules, numHiddenLayers),
    own: rules.own(fields, {
      hiddenSize,
      numHiddenLayers,
      headDim: sizeOfHead,
      numKeyValueHeads,
    }),
    convolution: rules.convolution?.(fields, numHiddenLayers) ?? null,
  }
}

/** The decoder's part of a config, filled up with what may be left out there. */
export function decoderFields(raw: RawConfig, { path, sizes }: ConfigRules, file: string): Fields {
  const top = new Fields(raw, file)
  if (path === null) return top
  const inner = top.section(path)
  return new Fields({ ...sizes, ...inner.raw }, file, inner.prefix)
}

function isTied(
  top: Fields,
  decoder: Fields,
  { tiedByDefault, outerTie, olderTieKey }: ConfigRules,
): boolean {
  const key = 'tie_word_embeddings'
  if (olderTieKey !== null && decoder.has(olderTieKey)) return decoder.flag(olderTieKey)
  if (outerTie === null) return decoder.flag(key, tiedByDefault)
  const { absent, orDecoder } = outerTie
  return top.flag(key, absent) || (orDecoder && decoder.flag(key, tiedByDefault))
}

/** Says in a config that the head is a matrix of its own, wherever a loader looks for that. */
export function untie(
  config: Record<string, unknown>,
  { path, outerTie, olderTieKey }: ConfigRules,
): void {
  const key = 'tie_word_embeddings'
  config[key] = false
  if (olderTieKey !== null && olderTieKey in config) config[olderTieKey] = false
  if (path === null) return
  const inner = config[path] as RawConfig
  if (key in inner || outerTie?.orDecoder === true) config[path] = { ...inner, [key]: false }
}

function activation(fields: Fields, { key, absent, names = {} }: ActivationRule): string {
  const written = fields.text(key, absent)
  return Object.hasOwn(names, written) ? (names[written] ?? written) : written
}

/** What the MLP of the layer that computes most makes of a token. */
export interface MlpSize {
  /** Numbers between its matrices: those of all experts that the token passes. */
  readonly features: number
  /** How many MLPs the token passes. */
  readonly rows: number
}

export function mlpSize({ intermediateSize, experts }: ModelConfig): MlpSize {
  const dense = { features: intermediateSize, rows: 1 }
  if (!experts) return dense
  const { perToken, sharedIntermediateSize: shared } = experts
  const mixed = {
    features: perToken * experts.intermediateSize + (shared ?? 0),
    rows: perToken + (shared === null ? 0 : 1),
  }
  const isMixedOnly = experts.isSparse.every(Boolean)
  return isMixedOnly
    ? mixed
    : { features: Math.max(mixed.features, dense.features), rows: mixed.rows }
}

/** What the layer that makes most of it has before its first output matrix: all heads, or a convolution's channels. */
export function contextSize(config: ModelConfig): number {
  const { numAttentionHeads, headDim, hiddenSize, convolution } = config
  return Math.max(numAttentionHeads * headDim, convolution === null ? 0 : hiddenSize)
}

/** Layers that each have a shape of their own are another architecture, whatever it calls itself. */
function refuseLayerConfigs(fields: Fields, { layerConfigsKey }: ConfigRules): void {
  const found = ['per_layer_config', 'block_configs'].find(
    (key) => key !== layerConfigsKey && fields.has(key),
  )
  if (found === undefined) return
  throw new AppError(
    'unsupported_architecture',
    'Models whose layers differ in shape cannot be grown.',
    {
      hint: `config.json gives layers a configuration of their own (${found}).`,
      context: {
        file: fields.file,
        field: found,
        expected: 'layers that are alike',
        actual: 'present',
      },
    },
  )
}

/** A model whose tokens see those that come after them does not predict the next one. */
function refuseBidirectional(fields: Fields): void {
  const field = 'use_bidirectional_attention'
  const value = fields.raw[field]
  // Among the parts of an image only; a text is read from left to right.
  if (value === 'vision' || (value !== 'all' && !fields.flag(field))) return
  throw new AppError(
    'unsupported_architecture',
    'Models that attend to later tokens cannot be grown.',
    {
      hint: 'Only decoders, which predict the next token, are supported.',
      context: { file: fields.file, field, expected: 'false', actual: String(value) },
    },
  )
}

function headDim(fields: Fields, rules: ConfigRules, hiddenSize: number, heads: number): number {
  if (fields.has('head_dim')) {
    const explicit = fields.natural('head_dim')
    if (explicit % 2 !== 0) throw fields.bad('head_dim', 'an even number, for rotary positions')
    return explicit
  }
  // As with key-value heads, an explicit null is the usual size, whatever the default is.
  if (rules.defaultHeadDim !== null && fields.raw['head_dim'] !== null) return rules.defaultHeadDim
  if (hiddenSize % (2 * heads) !== 0) {
    throw fields.bad('hidden_size', `an even multiple of the ${heads} attention heads`)
  }
  return hiddenSize / heads
}

function parseWindows(fields: Fields, rules: ConfigRules, layers: number): (number | null)[] {
  const { window: rule } = rules
  const slides = slidingLayers(fields, rules, layers)
  const isOn = rule !== null && (!rule.isSwitched || fields.flag('use_sliding_window'))
  const window = isOn ? slidingWindow(fields, rules) : null
  return slides.map((isSliding) => (isSliding ? window : null))
}

/** Typed access to the keys of a config, with errors that say what is wrong. Null counts as absent. */
export class Fields {
  constructor(
    readonly raw: RawConfig,
    readonly file: string,
    readonly prefix = '',
  ) {}

  has(key: string): boolean {
    return this.raw[key] !== undefined && this.raw[key] !== null
  }

  natural(
    key: string,
    { min = 1, max = Number.MAX_SAFE_INTEGER, ...defaults }: NaturalOptions = {},
  ): number {
    const value = this.raw[key]
    if (value === undefined && defaults.absent !== undefined) return defaults.absent
    if (value === null && defaults.whenNull !== undefined) return defaults.whenNull
    if (!Number.isSafeInteger(value) || Number(value) < min || Number(value) > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`
      throw this.bad(key, `a whole number ${range}`)
    }
    return Number(value)
  }

  /** A finite number above `min`, or of `least` and more. */
  number(
    key: string,
    { absent, ...bound }: { absent?: number } & ({ min: number } | { least: number }),
  ): number {
    if (!this.has(key) && absent !== undefined) return absent
    const value = this.raw[key]
    const isWithin = (found: number): boolean =>
      'min' in bound ? found > bound.min : found >= bound.least
    if (typeof value !== 'number' || !Number.isFinite(value) || !isWithin(value)) {
      throw this.bad(
        key,
        'min' in bound ? `a number above ${bound.min}` : `a number of ${bound.least} or more`,
      )
    }
    return value
  }

  /** A list of as many finite numbers above zero. */
  numbers(key: string, count: number): number[] {
    const value = this.raw[key]
    const isNumber = (item: unknown): boolean => Number.isFinite(item) && Number(item) > 0
    if (!Array.isArray(value) || value.length !== count || !value.every(isNumber)) {
      throw this.bad(key, `a list of ${count} numbers above 0`)
    }
    return value.map(Number)
  }

  text(key: string, absent: string): string {
    if (!this.has(key)) return absent
    const value = this.raw[key]
    if (typeof value !== 'string') throw this.bad(key, 'text')
    return value
  }

  flag(key: string, absent = false): boolean {
    if (!this.has(key)) return absent
    const value = this.raw[key]
    if (typeof value !== 'boolean') throw this.bad(key, 'true or false')
    return value
  }

  /** A section that the file has not, as if it had. */
  with(raw: RawConfig): Fields {
    return new Fields(raw, this.file)
  }

  section(key: string): Fields {
    const value = this.raw[key]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.bad(key, 'an object')
    }
    return new Fields(value as RawConfig, this.file, `${this.prefix}${key}.`)
  }

  bad(key: string, expected: string): AppError {
    const field = `${this.prefix}${key}`
    const actual = shownValue(this.raw[key])
    return new AppError(
      'bad_checkpoint',
      `${this.file}: ${field} should be ${expected}, found ${actual}.`,
      {
        hint: 'Compare the file with the one the model was published with.',
        context: { file: this.file, field, expected, actual },
      },
    )
  }
}

interface NaturalOptions {
  readonly min?: number
  readonly max?: number
  readonly absent?: number
  readonly whenNull?: number
}
