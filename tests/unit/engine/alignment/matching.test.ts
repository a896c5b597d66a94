import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { LayerMatcher } from '../../../../src/main/engine/alignment/matching'
import { permute } from '../../../../src/main/engine/alignment/orders'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import type { FixtureTensor } from '../../../support/checkpoints'
import { changedModel } from '../../../support/familyCases'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const HEAD = 4
const [GROUPS, HEADS] = [Int32Array.of(1, 0), Int32Array.of(3, 2, 1, 0)]

/** The numbers of a tensor of BF16, as they are stored. */
const halves = ({ bytes }: FixtureTensor): Uint16Array =>
  new Uint16Array(Uint8Array.from(bytes).buffer)

/** A tensor of layer 1 as layer 3 has it, whose heads are in another order. */
function reordered(tensor: FixtureTensor): FixtureTensor {
  const name = tensor.name.replace('layers.1.', 'layers.3.')
  const values = halves(tensor)
  const [rows = 1, width = 1] = tensor.shape
  const floats = Float32Array.from(values)
  if (/[qkv]_proj/.test(name)) {
    permute(floats, HEAD * width, name.includes('q_proj') ? HEADS : GROUPS)
  } else if (name.includes('out_proj')) {
    for (let row = 0; row < rows; row += 1) {
      permute(floats.subarray(row * width, (row + 1) * width), HEAD, HEADS)
    }
  }
  return { ...tensor, name, bytes: new Uint8Array(Uint16Array.from(floats).buffer) }
}

test('heads go along the layers that attend, over those with convolutions between them', async () => {
  const folder = await changedModel('lfm2', {
    tensors: (tensors) => [
      ...tensors.filter(({ name }) => !name.includes('layers.3.')),
      ...tensors.filter(({ name }) => name.includes('layers.1.')).map(reordered),
    ],
    config: (config) => ({
      ...config,
      layer_types: ['conv', 'full_attention', 'conv', 'full_attention'],
    }),
  })
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  const matcher = await LayerMatcher.create(checkpoint, runtime)
  onTestFinished(() => matcher.dispose())
  const match = (layer: number) => matcher.match(0, layer, () => Promise.resolve())
  const own = { groups: Int32Array.of(0, 1), heads: Int32Array.of(0, 1, 2, 3) }
  expect(await match(1)).toMatchObject(own)
  expect(await match(2)).toMatchObject(own)
  expect(await match(3)).toMatchObject({ groups: GROUPS, heads: HEADS })
})
