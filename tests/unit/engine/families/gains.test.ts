import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished, expect, test } from 'vitest'
import {
  hasOrderedRows,
  reorder,
  type LayerOrder,
} from '../../../../src/main/engine/alignment/orders'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { decodeSafetensors, encodeSafetensors } from '../../../support/checkpoints'
import { familyModel } from '../../../support/familyCases'
import { runExpand } from '../../../support/jobs'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

/** Key/value heads swapped, their query heads too, and neurons from the last to the first. */
const ORDER: LayerOrder = {
  groups: Int32Array.of(1, 0),
  heads: Int32Array.of(3, 2, 1, 0),
  neurons: Int32Array.from({ length: 24 }, (_, index) => 23 - index),
}

async function open(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

/** OLMo 2 in which layer 2 is layer 1 with its heads and neurons in another order, gains of their norms included. */
async function withReorderedLayer(): Promise<string> {
  const base = familyModel('olmo2')
  const checkpoint = await open(base)
  const { tensors } = await decodeSafetensors(join(base, 'model.safetensors'))
  const written = await Promise.all(
    tensors.map(async (tensor) => {
      const suffix = /^model\.layers\.2\.(.+)$/.exec(tensor.name)?.[1]
      if (suffix === undefined) return tensor
      const values = await checkpoint.readFloat32(checkpoint.layerTensorName(1, suffix))
      for (const { id, weight, bias, gain } of checkpoint.slotsOf(0)) {
        if (weight.tensor === suffix)
          reorder(values, weight.shape[1]!, id, ORDER, checkpoint.config)
        if (hasOrderedRows(id) && [bias?.tensor, gain?.tensor].includes(suffix)) {
          reorder(values, 1, id, ORDER, checkpoint.config)
        }
      }
      // These values are bfloat16's already.
      const bytes = Buffer.from(
        Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer,
      )
      return { ...tensor, bytes }
    }),
  )
  const folder = join(await tempFolder(), 'model')
  await mkdir(folder)
  await cp(join(base, 'config.json'), join(folder, 'config.json'))
  await writeFile(join(folder, 'model.safetensors'), encodeSafetensors(written))
  return folder
}

test('gains over all heads follow their heads where layers are matched', async () => {
  const model = await withReorderedLayer()
  const grown = async (align: boolean): Promise<Checkpoint> => {
    const out = join(await tempFolder(), 'grown')
    const method = { name: 'neighbour-mean', gaps: [1] } as const
    await runExpand(expandSpec({ model, out, method, align }))
    return open(out)
  }
  const base = await open(model)
  const [aligned, plain] = [await grown(true), await grown(false)]
  const { architecture, config } = base
  for (const { suffix } of architecture.layerTensors(config, 0)) {
    const left = await base.readFloat32(base.layerTensorName(1, suffix))
    expect(await aligned.readFloat32(aligned.layerTensorName(2, suffix)), suffix).toEqual(left)
  }
  const gain = 'self_attn.q_norm.weight'
  expect(await plain.readFloat32(plain.layerTensorName(2, gain))).not.toEqual(
    await base.readFloat32(base.layerTensorName(1, gain)),
  )
})
