/** @file What a config says of rotary positions, in either spelling. */
import { AppError } from '@shared/errors'
import { shown } from '@shared/text'
import type { ConfigRules, Fields, RawConfig } from './config'
import { layerList, slidingLayers, slidingWindow } from './layerTypes'

/** How rotary positions are stretched; the names are those of `rope_type` in the config. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  /** The base grows with the sequence once that is longer than `maxPositionEmbeddings`. */
  | {
      readonly type: 'dynamic'
      readonly factor: number
      readonly maxPositionEmbeddings: number
      /** Raises the base up to that length as well; `null` without. */
      readonly alpha: number | null
    }
  | {
      readonly type: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      readonly originalMaxPositionEmbeddings: number
    }
  | {
      readonly type: 'yarn'
      readonly factor: number
      readonly originalMaxPositionEmbeddings: number
      readonly betaFast: number
      readonly betaSlow: number
      /** Whether the range between the two is widened to whole pairs. */
      readonly truncate: boolean
      /** On cosines and sines; `null` where it follows from the rest. */
      readonly attentionFactor: number | null
      /** `null` unless both are given and not zero. */
      readonly mscale: readonly [of: number, ofAllDim: number] | null
    }
  | {
      readonly type: 'longrope'
      /** For each pair, up to the original length and beyond it. */
      readonly shortFactor: readonly number[]
      readonly longFactor: readonly number[]
      readonly factor: number
      readonly originalMaxPositionEmbeddings: number
      readonly attentionFactor: number | null
    }
  /** What the decoder graph does not know, or the config says wrongly: such a model can be grown, but not evaluated. */
  | { readonly type: 'unsupported'; readonly name: string; readonly reason?: string }

export interface RopeConfig {
  readonly theta: number
  /** Elements of a head that are turned, its first; an even number. */
  readonly dim: number
  readonly scaling: RopeScaling
}

/** How a layer turns queries and keys: as most do, as those that attend locally do, or not at all (NoPE). */
export type LayerRope = 'main' | 'local' | 'none'

/** Queries at position p are multiplied by 1 + β·ln(1 + ⌊p / original⌋). */
export interface QueryGrowth {
  readonly beta: number
  readonly originalMaxPositionEmbeddings: number
}

/** Where a family's rotary positions differ from Llama's. */
export interface RopeRules {
  readonly defaultTheta: number
  /** Of a head, what is turned where the config does not say; `null` where it is always all. */
  readonly partial: number | null
  /** Other names of a kind. */
  readonly names: Readonly<Record<string, string>>
  /** Tokens, when the config has no `original_max_position_embeddings` of its own outside the scaling. */
  readonly originalMaxPositions: number | null
  /** Whether `alpha` of the kind `dynamic` is read. */
  readonly hasAlpha: boolean
  /** Whether the scaling may say by what queries grow with their positions. */
  readonly hasQueryGrowth: boolean
  /** What stands for the scaling where the config has none. */
  readonly absent: RawConfig
  /**
   * Which layers have positions: `all`; `listed`, those that have a 1 in `no_rope_layers`; `sliding`, those with a window,
   * where the model has one; `by_type`, all, but those with a window by angles of their own.
   */
  readonly layers: 'all' | 'listed' | 'sliding' | 'by_type'
  /** The base of the angles of layers with a window, by the key that older configs have for it. */
  readonly localTheta: { readonly key: string | null; readonly absent: number }
}

export const LLAMA_ROPE: RopeRules = {
  defaultTheta: 10_000,
  partial: null,
  names: {},
  originalMaxPositions: null,
  hasAlpha: false,
  hasQueryGrowth: false,
  absent: {},
  layers: 'all',
  localTheta: { key: null, absent: 10_000 },
}

const [DEFAULT_BETA_FAST, DEFAULT_BETA_SLOW] = [32, 1]

/** What a config says of the positions of all its layers. */
interface Ropes {
  readonly rope: RopeConfig
  readonly localRope: RopeConfig | null
  readonly layerRopes: readonly LayerRope[]
  readonly queryGrowth: QueryGrowth | null
}

export function parseRopes(
  fields: Fields,
  rules: ConfigRules,
  { headDim, layers }: { readonly headDim: number; readonly layers: number },
): Ropes {
  const { rope: own } = rules
  const layerRopes = ropesOfLayers(fields, rules, layers)
  if (own.layers === 'by_type') {
    const [full, sliding] = sectionsByType(fields)
    const of = (inner: Fields, theta: number): RopeConfig =>
      parseRope(inner, fields, { ...own, defaultTheta: theta }, headDim)
    const local = own.localTheta
    const theta = fields.number('rope_theta', { absent: own.defaultTheta, min: 0 })
    const localTheta =
      local.key === null ? local.absent : fields.number(local.key, { absent: local.absent, min: 0 })
    return {
      rope: of(full, theta),
      localRope: of(sliding, localTheta),
      layerRopes,
      queryGrowth: null,
    }
  }
  const inner = scalingSection(fields, own)
  const theta = fields.number('rope_theta', { absent: own.defaultTheta, min: 0 })
  const rope = parseRope(inner, fields, { ...own, defaultTheta: theta }, headDim)
  return {
    rope,
    localRope: null,
    layerRopes,
    queryGrowth: own.hasQueryGrowth ? parseQueryGrowth(inner, fields) : null,
  }
}

function ropesOfLayers(fields: Fields, rules: ConfigRules, layers: number): LayerRope[] {
  switch (rules.rope.layers) {
    case 'all':
      return Array<LayerRope>(layers).fill('main')
    case 'listed': {
      const list = layerList(fields, rules, 'no_rope_layers', layers)
      if (!list.every((entry) => entry === 0 || entry === 1)) {
        throw fields.bad('no_rope_layers', 'a list of 0 and 1')
      }
      return list.map((entry) => (entry === 1 ? 'main' : 'none'))
    }
    case 'sliding': {
      const hasWindow = slidingWindow(fields, rules) !== null
      const slides = slidingLayers(fields, rules, layers)
      return slides.map((isSliding) => (isSliding || !hasWindow ? 'main' : 'none'))
    }
    case 'by_type':
      return slidingLayers(fields, rules, layers).map((isSliding) => (isSliding ? 'local' : 'main'))
  }
}

/** Both spellings: `rope_theta` with `rope_scaling`, and `rope_parameters` that holds both. The former wins. */
function scalingSection(fields: Fields, { absent }: RopeRules): Fields {
  const key = ['rope_scaling', 'rope_parameters'].find((name) => {
    const value = fields.raw[name]
    return value !== null && value !== undefined && Object.keys(value).length > 0
  })
  return key === undefined ? fields.with(absent) : fields.section(key)
}

/** What is said of full and of sliding layers; `rope_scaling` is of the full ones. */
function sectionsByType(fields: Fields): [full: Fields, sliding: Fields] {
  const all = fields.has('rope_parameters') ? fields.section('rope_parameters') : fields.with({})
  const of = (type: string): Fields => (all.has(type) ? all.section(type) : fields.with({}))
  const full = of('full_attention')
  const scaling = fields.has('rope_scaling') ? fields.section('rope_scaling').raw : {}
  const merged = { ...full.raw, ...scaling }
  return [fields.with(merged), of('sliding_attention')]
}

function parseQueryGrowth(inner: Fields, outer: Fields): QueryGrowth | null {
  const key = 'llama_4_scaling_beta'
  if (!inner.has(key)) return null
  return {
    beta: inner.number(key, { least: 0 }),
    originalMaxPositionEmbeddings: originalLength(inner, outer, LLAMA_ROPE),
  }
}

/** @param rules Its theta is that of a section that has none. */
function parseRope(inner: Fields, fields: Fields, rules: RopeRules, headDim: number): RopeConfig {
  const theta = inner.number('rope_theta', { absent: rules.defaultTheta, min: 0 })
  const key = 'partial_rotary_factor'
  // The reference's default is for a key that is not there.
  const absent = fields.raw[key] === null ? 1 : (rules.partial ?? 1)
  const partial = inner.raw[key] ?? fields.raw[key] ?? absent
  const scaling = (dim: number): RopeScaling => {
    const name = String(inner.raw['rope_type'] ?? inner.raw['type'])
    return orUnsupported(shown(name, 80), () => parseScaling(inner, fields, rules, dim))
  }
  const whole = { theta, dim: headDim }
  if (partial === 1) return { ...whole, scaling: scaling(headDim) }
  const share = typeof partial === 'number' && partial > 0 && partial < 1 ? partial : null
  if (rules.partial === null || share === null) {
    return { ...whole, scaling: { type: 'unsupported', name: 'partial rotary' } }
  }
  const dim = 2 * Math.ceil(Math.floor(headDim * share) / 2)
  return { theta, dim, scaling: scaling(dim) }
}

function parseScaling(inner: Fields, outer: Fields, rules: RopeRules, dim: number): RopeScaling {
  const written = inner.text(inner.has('rope_type') ? 'rope_type' : 'type', 'default')
  if (Object.values(inner.raw).some(isObject)) {
    return { type: 'unsupported', name: written === 'default' ? 'by layer type' : written }
  }
  const name = rules.names[written] ?? written
  switch (name) {
    case 'default':
      return { type: 'default' }
    case 'linear':
      return { type: 'linear', factor: inner.number('factor', { min: 0 }) }
    case 'llama3': {
      const lowFreqFactor = inner.number('low_freq_factor', { min: 0 })
      const highFreqFactor = inner.number('high_freq_factor', { min: 0 })
      if (highFreqFactor <= lowFreqFactor) {
        throw inner.bad('high_freq_factor', `more than low_freq_factor, ${lowFreqFactor}`)
      }
      return {
        type: 'llama3',
        factor: inner.number('factor', { min: 0 }),
        lowFreqFactor,
        highFreqFactor,
        originalMaxPositionEmbeddings: originalLength(inner, outer, rules),
      }
    }
    case 'dynamic':
      return {
        type: 'dynamic',
        factor: inner.number('factor', { min: 0 }),
        maxPositionEmbeddings: outer.natural('max_position_embeddings'),
        alpha: rules.hasAlpha && inner.has('alpha') ? inner.number('alpha', { min: 0 }) : null,
      }
    case 'yarn':
      return parseYarn(inner, outer, rules)
    case 'longrope':
      return parseLongrope(inner, outer, rules, dim)
    default:
      return { type: 'unsupported', name: written }
  }
}

function parseYarn(inner: Fields, outer: Fields, rules: RopeRules): RopeScaling {
  const original = originalLength(inner, outer, rules)
  const optional = (key: string): number => (inner.has(key) ? inner.number(key, { min: 0 }) : 0)
  const [mscale, ofAllDim] = [optional('mscale'), optional('mscale_all_dim')]
  return {
    type: 'yarn',
    factor: inner.has('factor') ? inner.number('factor', { min: 0 }) : stretch(outer, original),
    originalMaxPositionEmbeddings: original,
    betaFast: inner.number('beta_fast', { absent: DEFAULT_BETA_FAST, min: 0 }),
    betaSlow: inner.number('beta_slow', { absent: DEFAULT_BETA_SLOW, min: 0 }),
    truncate: inner.raw['truncate'] !== false,
    attentionFactor: attentionFactor(inner),
    mscale: mscale > 0 && ofAllDim > 0 ? [mscale, ofAllDim] : null,
  }
}

function parseLongrope(inner: Fields, outer: Fields, rules: RopeRules, dim: number): RopeScaling {
  const original = originalLength(inner, outer, rules)
  return {
    type: 'longrope',
    shortFactor: inner.numbers('short_factor', dim / 2),
    longFactor: inner.numbers('long_factor', dim / 2),
    factor: inner.has('factor') ? inner.number('factor', { min: 0 }) : stretch(outer, original),
    originalMaxPositionEmbeddings: original,
    attentionFactor: attentionFactor(inner),
  }
}

/** The trained length before it was stretched; what stands outside the scaling goes first. */
function originalLength(inner: Fields, outer: Fields, rules: RopeRules): number {
  const key = 'original_max_position_embeddings'
  if (outer.has(key)) return outer.natural(key)
  if (rules.originalMaxPositions !== null) return rules.originalMaxPositions
  return inner.has(key) ? inner.natural(key) : outer.natural('max_position_embeddings')
}

function stretch(outer: Fields, original: number): number {
  return outer.natural('max_position_embeddings') / original
}

function attentionFactor(inner: Fields): number | null {
  return inner.has('attention_factor') ? inner.number('attention_factor', { min: 0 }) : null
}

/** What evaluation alone needs must not keep a model from being grown. */
function orUnsupported(name: string, parse: () => RopeScaling): RopeScaling {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { type: 'unsupported', name, reason: error.message }
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
