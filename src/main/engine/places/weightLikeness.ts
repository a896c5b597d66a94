import type { Checkpoint } from '../checkpoint/Checkpoint'

/** How often {@link neighbourCosines} yields. */
export function cosineUnits(checkpoint: Checkpoint): number {
  return layersWith(checkpoint).reduce((sum, { layers }) => sum + layers.length, 0)
}

/**
 * Cosine of each layer's matrices and the next one's, all that both have as one vector; two matrices in memory at a time.
 * Yields after each matrix.
 */
export async function* neighbourCosines(
  checkpoint: Checkpoint,
  signal: AbortSignal,
): AsyncGenerator<void, number[]> {
  const gaps = Math.max(0, checkpoint.config.numHiddenLayers - 1)
  const [lefts, rights, dots] = [0, 0, 0].map(() => new Float64Array(gaps)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  for (const { type, layers } of layersWith(checkpoint)) {
    let before: Read | null = null
    for (const layer of layers) {
      signal.throwIfAborted()
      const values = await checkpoint.readSlot(type, { layer })
      const found: Read = { layer, values, square: dot(values, values) }
      if (before?.layer === layer - 1) {
        const gap = layer - 1
        lefts[gap]! += before.square
        rights[gap]! += found.square
        dots[gap]! += dot(values, before.values)
      }
      before = found
      yield
    }
  }
  return [...dots].map((product, gap) => {
    const norms = Math.sqrt(lefts[gap]! * rights[gap]!)
    return norms === 0 ? 0 : product / norms
  })
}

interface Read {
  readonly layer: number
  readonly values: Float32Array
  readonly square: number
}

/** Each weight type, and the layers that have it. */
function layersWith(
  checkpoint: Checkpoint,
): readonly { readonly type: string; readonly layers: readonly number[] }[] {
  const all = Array.from({ length: checkpoint.config.numHiddenLayers }, (_, layer) => layer)
  return checkpoint.weightTypes.map((type) => ({
    type,
    layers: all.filter((layer) => checkpoint.hasSlot(type, layer)),
  }))
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let index = 0; index < a.length; index += 1) sum += a[index]! * b[index]!
  return sum
}
