/**
 * @file Rotary position embeddings: the angle tables that the decoder layer takes as inputs. Formulas as in
 * transformers' `modeling_rope_utils.py`; computed in float64, which the float32 tables round once.
 */
import { AppError } from '@shared/errors'
import type { ModelConfig, RopeScaling } from '../architectures/config'

/** Cosines and sines by position, each `[length, headDim / 2]` row-major; both halves of a head use the same angles. */
export interface RopeTables {
  readonly cos: Float32Array
  readonly sin: Float32Array
}

/**
 * `headDim / 2` inverse frequencies in radians per position.
 *
 * @throws AppError `unsupported_architecture` for a kind of scaling that is not known.
 */
export function inverseFrequencies({ headDim, rope }: ModelConfig): Float64Array {
  const base = Float64Array.from(
    { length: headDim / 2 },
    (_, index) => rope.theta ** ((-2 * index) / headDim),
  )
  return base.map((frequency) => scaled(frequency, rope.scaling))
}

/** Tables for positions `0 … length − 1`. */
export function ropeTables(config: ModelConfig, length: number): RopeTables {
  const frequencies = inverseFrequencies(config)
  const half = frequencies.length
  const cos = new Float32Array(length * half)
  const sin = new Float32Array(length * half)
  for (let position = 0; position < length; position += 1) {
    for (let index = 0; index < half; index += 1) {
      // The reference multiplies in float32, and a trained model knows no finer angles.
      const angle = Math.fround(position * Math.fround(frequencies[index] ?? 0))
      cos[position * half + index] = Math.cos(angle)
      sin[position * half + index] = Math.sin(angle)
    }
  }
  return { cos, sin }
}

function scaled(frequency: number, scaling: RopeScaling): number {
  switch (scaling.type) {
    case 'default':
      return frequency
    case 'linear':
      return frequency / scaling.factor
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling
      const turns = (originalMaxPositionEmbeddings * frequency) / (2 * Math.PI)
      if (turns < lowFreqFactor) return frequency / factor
      if (turns > highFreqFactor) return frequency
      const share = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
      return ((1 - share) * frequency) / factor + share * frequency
    }
    case 'unsupported':
      throw new AppError(
        'unsupported_architecture',
        `Rotary positions of the kind "${scaling.name}" cannot be evaluated.`,
        {
          hint: 'The model can still be grown and exported. Known kinds: default, linear, dynamic, llama3.',
          context: {
            field: 'rope_scaling',
            expected: 'default, linear, dynamic or llama3',
            actual: scaling.name,
          },
        },
      )
  }
}
