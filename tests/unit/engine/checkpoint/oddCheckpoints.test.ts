import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { ODD_CHECKPOINTS, writeOddCheckpoint } from '../../../support/oddCheckpoints'
import { tempFolder } from '../../../support/tempFolder'

async function opened(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

describe.each(Object.entries(ODD_CHECKPOINTS))('%s', (_, odd) => {
  test('is read as the usual checkpoint of the model, and what was assumed is said', async () => {
    const folder = await tempFolder()
    await writeOddCheckpoint(odd, join(folder, 'odd'), join(folder, 'plain'))
    const found = await opened(join(folder, 'odd'))
    const usual = await opened(join(folder, 'plain'))
    expect(found.config).toEqual(usual.config)
    for (const tensor of usual.tensors.keys()) {
      const values = await found.readFloat32(tensor)
      const isZero = found.zeros.has(tensor)
      // A bias that is left out is zero; the usual checkpoint's is random.
      if (isZero) expect(values).toEqual(new Float32Array(values.length))
      else expect(values).toEqual(await usual.readFloat32(tensor))
    }
    if (odd.remark === null) expect(found.remarks).toEqual([])
    else expect(found.remarks.join('\n')).toMatch(odd.remark)
    expect(found.summarize().remarks).toEqual(found.remarks)
  })
})
