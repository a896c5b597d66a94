import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { streamLayers } from '../../../../src/main/engine/decoder/layerStream'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

async function open(): Promise<Checkpoint> {
  const dir = join(await tempFolder(), 'model')
  const checkpoint = await Checkpoint.open(
    await writeTinyCheckpoint({ dir, architecture: 'qwen3', attentionBias: true }),
  )
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

const never = new AbortController().signal

test.each([
  ['from the first to the last', undefined, [0, 1, 2, 3]],
  ['in the order asked for, some left out and some twice', [3, 2, 0, 2], [3, 2, 0, 2]],
])('layers come %s, each with its own weights', async (_, order, expected) => {
  const checkpoint = await open()
  const seen: number[] = []
  for await (const { layer, weights } of streamLayers(checkpoint, runtime, never, order)) {
    seen.push(layer)
    for (const [input, name] of [
      ['k_proj.weight', 'self_attn.k_proj.weight'],
      ['o_proj.bias', 'self_attn.o_proj.bias'],
      ['down_proj.weight', 'mlp.down_proj.weight'],
      ['self_attn.q_norm.weight', 'self_attn.q_norm.weight'],
      ['input_layernorm.weight', 'input_layernorm.weight'],
    ] as const) {
      const tensor = weights[input]
      const stored = checkpoint.layerTensorName(layer, name)
      expect(tensor?.dims).toEqual(checkpoint.tensors.get(stored)?.shape)
      expect(tensor?.data).toEqual(await checkpoint.readFloat32(stored))
    }
    expect(Object.keys(weights)).toHaveLength(7 + 4 + 4)
  }
  expect(seen).toEqual(expected)
})

test('one that is left early is no longer reading', async () => {
  const checkpoint = await open()
  const stream = streamLayers(checkpoint, runtime, never)
  await stream.next()
  await stream.return()
  await checkpoint.close()
})

test('a cancel ends it before the next layer', async () => {
  const controller = new AbortController()
  const stream = streamLayers(await open(), runtime, controller.signal)
  await stream.next()
  controller.abort()
  await expect(stream.next()).rejects.toBe(controller.signal.reason)
})
