import type { MatrixFiller } from '../../lesa/learned'
import { Random } from '../../lib/random'

/** Gaussian entries with the Frobenius norm of what `filler` gives: the control that it has to beat. */
export function noiseLike(filler: MatrixFiller, seed: number): MatrixFiller {
  return async (type, place) => {
    const weights = await filler(type, place)
    const { layer, chain } = place
    const random = new Random(seed, type, 'noise', layer, ...(chain === 0 ? [] : [chain]))
    const noise = Float32Array.from(weights, () => random.normal())
    const scale = frobenius(weights) / frobenius(noise)
    return noise.map((value) => value * scale)
  }
}

function frobenius(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}
