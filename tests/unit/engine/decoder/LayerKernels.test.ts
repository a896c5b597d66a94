import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { LayerKernels } from '../../../../src/main/engine/decoder/LayerKernels'
import { streamLayers } from '../../../../src/main/engine/decoder/layerStream'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { seededFloats } from '../../../support/random'
import { tempFolder } from '../../../support/tempFolder'

test('layers of one length and window share a graph; a window that hides nothing counts as none', async () => {
  const dir = join(await tempFolder(), 'model')
  const config = { use_sliding_window: true, sliding_window: 6, max_window_layers: 2 }
  const checkpoint = await Checkpoint.open(
    await writeTinyCheckpoint({ dir, architecture: 'qwen2', config }),
  )
  onTestFinished(() => checkpoint.close())
  const runtime = await Runtime.open('cpu')
  onTestFinished(() => runtime.dispose())
  const compile = vi.spyOn(runtime, 'compile')
  const kernels = new LayerKernels(checkpoint, runtime)
  expect([1, 2].map((layer) => kernels.shapeOf(layer, 7))).toEqual([
    { length: 7, window: null, rope: 'main' },
    { length: 7, window: 6, rope: 'main' },
  ])
  const compiled: number[] = []
  for (const length of [7, 6]) {
    const hidden = seededFloats(2 * length * 32, length)
    const sequences = [new Int32Array(length), new Int32Array(length)]
    const batch = { length, sequences, indices: [0, 1] }
    const layers = streamLayers(checkpoint, runtime, new AbortController().signal)
    for await (const streamed of layers) {
      const next = await kernels.forward(streamed, hidden, batch)
      expect(next).toHaveLength(hidden.length)
    }
    compiled.push(compile.mock.calls.length)
  }
  expect(compiled).toEqual([2, 3])
})
