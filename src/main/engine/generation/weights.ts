/** @file A model's weights for pass after pass: kept, or read again for each. */
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { feedLayer, streamLayers, type StreamedLayer } from '../decoder/layerStream'
import { outputMatrixOf } from '../decoder/OutputHead'
import { VocabularyMatrix, type VocabularyTile } from '../decoder/VocabularyMatrix'
import type { Runtime } from '../onnx/Runtime'

export interface Weights {
  /** The layers in order; each is there until the next is asked for, at least. */
  layers(): AsyncIterable<StreamedLayer>
  /** The output matrix in parts, in the same way. */
  head(): AsyncIterable<VocabularyTile>
  dispose(): void
}

export interface WeightOptions {
  readonly checkpoint: Checkpoint
  readonly runtime: Runtime
  readonly signal: AbortSignal
  /** Elements of a part of the output matrix. */
  readonly matrixElements: number
}

/** Read from the files in every pass: two layers and a part of the output matrix in memory. */
export function streamedWeights(options: WeightOptions): Weights {
  const { checkpoint, runtime, signal } = options
  const matrix = headMatrix(options)
  return {
    layers: () => streamLayers(checkpoint, runtime, signal),
    head: () => matrix.tiles(runtime, signal),
    dispose: () => undefined,
  }
}

/** Read in the first pass, and kept on the device if that keeps tensors, else on the host. */
export function residentWeights(options: WeightOptions): Weights {
  const { checkpoint, runtime, signal } = options
  const { architecture, config } = checkpoint
  const layers: StreamedLayer[] = []
  const tiles: VocabularyTile[] = []

  async function readLayer(layer: number): Promise<StreamedLayer> {
    const read = new Map<string, Float32Array>()
    for (const { suffix } of architecture.layerTensors(config, layer)) {
      signal.throwIfAborted()
      const name = checkpoint.layerTensorName(layer, suffix)
      read.set(suffix, await checkpoint.readFloat32(name))
    }
    return { layer, weights: await feedLayer(checkpoint, runtime, read, layer) }
  }

  return {
    layers: async function* () {
      for (let layer = 0; layer < config.numHiddenLayers; layer += 1) {
        const kept = layers[layer] ?? (await readLayer(layer))
        layers[layer] = kept
        yield kept
      }
    },
    head: async function* () {
      const { name, rowsAtOnce, width } = headMatrix(options)
      for (let start = 0; start < config.vocabSize; start += rowsAtOnce) {
        const index = start / rowsAtOnce
        let kept = tiles[index]
        if (!kept) {
          signal.throwIfAborted()
          const end = Math.min(config.vocabSize, start + rowsAtOnce)
          const values = await checkpoint.readFloat32(name, { rows: [start, end] })
          kept = { tensor: await runtime.upload(values, [end - start, width]), start, end }
          tiles[index] = kept
        }
        yield kept
      }
    },
    dispose: () => {
      for (const { weights } of layers) {
        for (const tensor of Object.values(weights)) runtime.release(tensor)
      }
      for (const { tensor } of tiles) runtime.release(tensor)
      layers.length = 0
      tiles.length = 0
    },
  }
}

function headMatrix({ checkpoint, matrixElements }: WeightOptions): VocabularyMatrix {
  return new VocabularyMatrix(checkpoint, outputMatrixOf(checkpoint), matrixElements)
}
