import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { StackedMatrix } from '../../../../src/main/engine/lesa/StackedMatrix'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

/** q has 32 rows, k and v 16 each, all of width 32; gate and up 48. */
async function phi3(damage?: { readonly tensor: string; readonly element: number }) {
  const dir = join(await tempFolder(), 'model')
  await writeTinyCheckpoint({ dir, architecture: 'phi3', dtype: 'F32' })
  if (damage) {
    const whole = await Checkpoint.open(dir)
    const info = whole.tensors.get(damage.tensor)
    await whole.close()
    const file = join(dir, 'model.safetensors')
    const bytes = await readFile(file)
    bytes.writeFloatLE(Infinity, (info?.offset ?? NaN) + 4 * damage.element)
    await writeFile(file, bytes)
  }
  const checkpoint = await Checkpoint.open(dir)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

test.each([
  ['q_proj', 'self_attn.qkv_proj', 0, 32],
  ['k_proj', 'self_attn.qkv_proj', 32, 48],
  ['v_proj', 'self_attn.qkv_proj', 48, 64],
  ['gate_proj', 'mlp.gate_up_proj', 0, 48],
  ['up_proj', 'mlp.gate_up_proj', 48, 96],
  ['down_proj', 'mlp.down_proj', 0, 32],
])('%s is rows of %s in every layer', async (type, module, first, last) => {
  const checkpoint = await phi3()
  const matrix = new StackedMatrix(checkpoint, type)
  expect([matrix.rows, matrix.layerCount]).toEqual([last - first, 4])
  expect(matrix.dtypes()).toEqual(['F32', 'F32', 'F32', 'F32'])
  for (const layer of [0, 3]) {
    const name = `model.layers.${layer}.${module}.weight`
    expect(matrix.nameOf(layer)).toBe(name)
    const rows = await checkpoint.readFloat32(name, { rows: [first, last] })
    expect(await matrix.read(layer)).toEqual(rows)
  }
})

test('what is not finite is found in its own rows only, and named by its place in the tensor', async () => {
  const tensor = 'model.layers.2.self_attn.qkv_proj.weight'
  const checkpoint = await phi3({ tensor, element: 40 * 32 + 5 })
  await new StackedMatrix(checkpoint, 'q_proj').refuseNonFinite()
  await expect(new StackedMatrix(checkpoint, 'k_proj').refuseNonFinite()).rejects.toMatchObject({
    code: 'numeric_failure',
    context: { tensor, actual: 'Infinity at row 40, column 5' },
  })
})

test('a weight type that the model does not have is refused', async () => {
  const checkpoint = await phi3()
  expect(() => new StackedMatrix(checkpoint, 'w1')).toThrow(
    expect.objectContaining({
      code: 'bug',
      context: expect.objectContaining({ actual: 'w1' }) as unknown,
    }),
  )
})
