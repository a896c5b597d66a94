/**
 * @file Rotary position embeddings: the angle tables that the decoder layer takes as inputs. Formulas as in
 * transformers' `modeling_rope_utils.py`, rounded to float32 where it rounds: a trained model knows no finer angles, and
 * at thousands of positions the rounding of a frequency shows.
 */
import { AppError } from '@shared/errors'
import type { ModelConfig } from '../architectures/config'
import type { QueryGrowth, RopeConfig, RopeScaling } from '../architectures/ropeConfig'

/** Cosines and sines by position, each `[length, rope.dim / 2]` row-major; both halves of a pair use the same angle. */
export interface RopeTables {
  readonly cos: Float32Array
  readonly sin: Float32Array
}

type Scaling<Type extends RopeScaling['type']> = Extract<RopeScaling, { type: Type }>

const f32 = Math.fround

/** Sequences of one class have the same angles. Most models have one class. */
export function ropeClass({ rope, localRope }: ModelConfig, length: number): string {
  return [rope, localRope].map((each) => each && lengthOfClass(each, length)).join()
}

/** The length that stands for a class. */
function lengthOfClass({ scaling }: RopeConfig, length: number): number {
  switch (scaling.type) {
    case 'dynamic':
      return Math.max(length, scaling.maxPositionEmbeddings)
    case 'longrope': {
      const { originalMaxPositionEmbeddings: original } = scaling
      return length > original ? original + 1 : original
    }
    default:
      return 0
  }
}

/**
 * `rope.dim / 2` inverse frequencies in radians per position.
 *
 * @param length Tokens of the sequence; some kinds depend on it.
 * @throws AppError `unsupported_architecture` for a kind of scaling that is not known.
 */
export function inverseFrequencies(
  { rope }: Pick<ModelConfig, 'rope'>,
  length: number,
): Float32Array {
  const { theta, dim, scaling } = rope
  const periods = (base: number): Float32Array =>
    Float32Array.from({ length: dim / 2 }, (_, index) => base ** f32((2 * index) / dim))
  const base = periods(theta).map((period) => 1 / period)
  switch (scaling.type) {
    case 'default':
      return base
    case 'linear':
      return base.map((frequency) => frequency / scaling.factor)
    case 'dynamic': {
      const { factor, maxPositionEmbeddings: trained, alpha } = scaling
      if (alpha !== null && length <= trained) {
        return periods(theta * alpha ** (dim / (dim - 2))).map((period) => 1 / period)
      }
      const times = (factor * Math.max(length, trained)) / trained - (factor - 1)
      return periods(theta * times ** (dim / (dim - 2))).map((period) => 1 / period)
    }
    case 'llama3':
      return base.map((frequency) => llama3(frequency, scaling))
    case 'yarn':
      return yarn(periods(theta), rope, scaling)
    case 'longrope': {
      const isLong = length > scaling.originalMaxPositionEmbeddings
      const factors = isLong ? scaling.longFactor : scaling.shortFactor
      return periods(theta).map((period, index) => 1 / f32(f32(factors[index] ?? NaN) * period))
    }
    case 'unsupported':
      throw unsupported(scaling)
  }
}

/**
 * Tables for positions `first … first + positions − 1` of a sequence of `length` tokens; the rest, if any, is padding.
 */
export function ropeTables(
  config: Pick<ModelConfig, 'rope'>,
  positions: number,
  length = positions,
  first = 0,
): RopeTables {
  const frequencies = inverseFrequencies(config, length)
  const scale = f32(attentionFactor(config.rope.scaling))
  const half = frequencies.length
  const cos = new Float32Array(positions * half)
  const sin = new Float32Array(positions * half)
  for (let position = 0; position < positions; position += 1) {
    for (let index = 0; index < half; index += 1) {
      const angle = f32((first + position) * (frequencies[index] ?? 0))
      cos[position * half + index] = f32(Math.cos(angle)) * scale
      sin[position * half + index] = f32(Math.sin(angle)) * scale
    }
  }
  return { cos, sin }
}

/** What the queries at positions `first … first + positions − 1` are multiplied by. */
export function queryGrowth(
  { beta, originalMaxPositionEmbeddings: original }: QueryGrowth,
  positions: number,
  first = 0,
): Float32Array {
  const of = (position: number): number => 1 + beta * Math.log(1 + Math.floor(position / original))
  return Float32Array.from({ length: positions }, (_, index) => of(first + index))
}

/** What cosines and sines are multiplied by, so that scores keep their spread over longer sequences. */
function attentionFactor(scaling: RopeScaling): number {
  switch (scaling.type) {
    case 'yarn': {
      const { factor, mscale } = scaling
      const of = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1)
      return scaling.attentionFactor ?? (mscale ? of(mscale[0]) / of(mscale[1]) : of(1))
    }
    case 'longrope': {
      const { factor, originalMaxPositionEmbeddings: original } = scaling
      const implied = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))
      return scaling.attentionFactor ?? implied
    }
    default:
      return 1
  }
}

/** Slow pairs are slowed down by the factor, fast ones kept, those between blended by how often they turn. */
function llama3(frequency: number, scaling: Scaling<'llama3'>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling
  const turns = (originalMaxPositionEmbeddings * frequency) / (2 * Math.PI)
  if (turns < lowFreqFactor) return frequency / factor
  if (turns > highFreqFactor) return frequency
  const share = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
  return ((1 - share) * frequency) / factor + share * frequency
}

/** As {@link llama3}, blended by the pair's place between those that turn `betaFast` and `betaSlow` times. */
function yarn(
  periods: Float32Array,
  { theta, dim }: { readonly theta: number; readonly dim: number },
  scaling: Scaling<'yarn'>,
): Float32Array {
  const { factor, originalMaxPositionEmbeddings: original } = scaling
  const placeOf = (turns: number): number =>
    (dim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [fast, slow] = [placeOf(scaling.betaFast), placeOf(scaling.betaSlow)]
  const first = Math.max(scaling.truncate ? Math.floor(fast) : fast, 0)
  const end = Math.min(scaling.truncate ? Math.ceil(slow) : slow, dim - 1)
  const last = first === end ? end + 0.001 : end
  return periods.map((period, index) => {
    const ramp = f32(Math.min(1, Math.max(0, f32(f32(index - first) / f32(last - first)))))
    const kept = f32(1 - ramp)
    const [slowed, plain] = [f32(1 / f32(factor * period)), f32(1 / period)]
    return f32(slowed * f32(1 - kept)) + f32(plain * kept)
  })
}

const KNOWN = 'default, linear, dynamic, llama3, yarn and longrope'

function unsupported({ name, reason }: Scaling<'unsupported'>): AppError {
  return new AppError(
    'unsupported_architecture',
    reason === undefined
      ? `Rotary positions of the kind "${name}" cannot be evaluated.`
      : `Rotary positions of the kind "${name}" cannot be evaluated as they are described: ${reason}`,
    {
      hint: `The model can still be grown and exported. Known kinds: ${KNOWN}.`,
      context: { field: 'rope_scaling', expected: KNOWN, actual: name },
    },
  )
}
