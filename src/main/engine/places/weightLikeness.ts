import { elementsOf } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'

/**
 * Cosine of each layer's matrices and the next one's, all of a layer as one vector; two matrices in memory at a time.
 * Yields after each matrix.
 */
export async function* neighbourCosines(
  checkpoint: Checkpoint,
  signal: AbortSignal,
): AsyncGenerator<void, number[]> {
  const layers = checkpoint.config.numHiddenLayers
  const squares = new Float64Array(layers)
  const dots = new Float64Array(Math.max(0, layers - 1))
  for (const { weight } of checkpoint.slotsOf(0)) {
    const elements = [weight.offset, weight.offset + elementsOf(weight.shape)] as const
    let before: Float32Array | null = null
    for (let layer = 0; layer < layers; layer += 1) {
      signal.throwIfAborted()
      const name = checkpoint.layerTensorName(layer, weight.tensor)
      const values = await checkpoint.readFloat32(name, { elements })
      let [square, dot] = [0, 0]
      for (let index = 0; index < values.length; index += 1) {
        const value = values[index]!
        square += value * value
        if (before) dot += value * before[index]!
      }
      squares[layer] = squares[layer]! + square
      if (layer > 0) dots[layer - 1] = dots[layer - 1]! + dot
      before = values
      yield
    }
  }
  return [...dots].map((dot, layer) => {
    const norms = Math.sqrt(squares[layer]! * squares[layer + 1]!)
    return norms === 0 ? 0 : dot / norms
  })
}
