/** @file What a config says of rotary positions, in either spelling. */
import { AppError } from '@shared/errors'
import { shown } from '@shared/text'
import type { Fields } from './config'

/** How rotary positions are stretched; the names are those of `rope_type` in the config. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  /** The base grows with the sequence once that is longer than `maxPositionEmbeddings`. */
  | { readonly type: 'dynamic'; readonly factor: number; readonly maxPositionEmbeddings: number }
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

/** Where a family's rotary positions differ from Llama's. */
export interface RopeRules {
  /** Whether `partial_rotary_factor` may leave the end of a head as it is. */
  readonly partial: boolean
  /** Other names of a kind. */
  readonly names: Readonly<Record<string, string>>
  /** Tokens, when the config has no `original_max_position_embeddings` of its own outside the scaling. */
  readonly originalMaxPositions: number | null
}

export const LLAMA_ROPE: RopeRules = { partial: false, names: {}, originalMaxPositions: null }

const DEFAULT_THETA = 10_000
const [DEFAULT_BETA_FAST, DEFAULT_BETA_SLOW] = [32, 1]

/** Both spellings: `rope_theta` with `rope_scaling`, and `rope_parameters` that holds both. The former wins. */
export function parseRope(fields: Fields, rules: RopeRules, headDim: number): RopeConfig {
  const key = ['rope_scaling', 'rope_parameters'].find((name) => {
    const value = fields.raw[name]
    return value !== null && value !== undefined && Object.keys(value).length > 0
  })
  const inner = key === undefined ? fields.empty() : fields.section(key)
  const outerTheta = fields.number('rope_theta', { absent: DEFAULT_THETA, min: 0 })
  const theta = inner.number('rope_theta', { absent: outerTheta, min: 0 })
  const partial = inner.raw['partial_rotary_factor'] ?? fields.raw['partial_rotary_factor'] ?? 1
  const scaling = (dim: number): RopeScaling => {
    const name = String(inner.raw['rope_type'] ?? inner.raw['type'])
    return orUnsupported(shown(name, 80), () => parseScaling(inner, fields, rules, dim))
  }
  const whole = { theta, dim: headDim }
  if (partial === 1) return { ...whole, scaling: scaling(headDim) }
  const share = typeof partial === 'number' && partial > 0 && partial < 1 ? partial : null
  if (!rules.partial || share === null) {
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
