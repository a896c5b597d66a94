import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tensorDetails } from '../../../../src/main/engine/queries/tensorDetails'
import { encodeSafetensors } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

/** A checkpoint of an architecture that nobody knows, with one tensor. */
async function checkpoint(dtype: string, bytes: Uint8Array, shape: number[]): Promise<string> {
  const folder = await tempFolder()
  await writeFile(join(folder, 'config.json'), '{"architectures":["Nobody"]}')
  await writeFile(
    join(folder, 'model.safetensors'),
    encodeSafetensors([{ name: 'w', dtype, shape, bytes }]),
  )
  return folder
}
const floats = (values: number[]): Promise<string> =>
  checkpoint('F32', new Uint8Array(Float32Array.from(values).buffer), [values.length])

describe('one tensor’s figures', () => {
  it('are of its finite values, with what is not finite counted', async () => {
    const folder = await floats([3, -4, 0, 0, NaN, Infinity, -Infinity])
    const { figures } = await tensorDetails(folder, 'w')
    expect(figures).toMatchObject({
      count: 7,
      norm: 5,
      mean: -0.25,
      min: -4,
      max: 3,
      zeros: 2,
      nan: 1,
      infinite: 2,
    })
    expect(figures?.deviation).toBeCloseTo(Math.sqrt(25 / 4 - 1 / 16), 12)
    const { counts, low, high, below, above } = figures!.histogram
    expect([low, high, below, above]).toEqual([-4, 3, 0, 0])
    expect(counts.reduce((sum, count) => sum + count)).toBe(4)
    expect([counts[0], counts.at(-1), counts[34]]).toEqual([1, 1, 2])
  })

  it('count outliers beyond the bars instead of losing all else in one of them', async () => {
    const folder = await floats([...Array.from({ length: 1000 }, (_, i) => Math.sin(i)), 1e6])
    const { histogram } = (await tensorDetails(folder, 'w')).figures!
    expect(histogram.above).toBe(1)
    expect(histogram.high).toBeLessThan(1e6)
    expect(histogram.counts.reduce((sum, count) => sum + count)).toBe(1000)
  })

  it('hold for tensors of one value, of none, and of more than one part of the file', async () => {
    const same = (await tensorDetails(await floats([2, 2, 2]), 'w')).figures!
    expect(same).toMatchObject({ deviation: 0, min: 2, max: 2 })
    expect(Math.max(...same.histogram.counts)).toBe(3)
    const none = (await tensorDetails(await floats([]), 'w')).figures!
    expect(none).toMatchObject({ count: 0, norm: 0, mean: 0, min: 0, max: 0 })
    const many = await checkpoint('BF16', new Uint8Array(2 * 9_000_001).fill(0x3f), [9_000_001])
    const { figures } = await tensorDetails(many, 'w')
    expect(figures?.count).toBe(9_000_001)
    expect(figures?.histogram.counts.reduce((sum, count) => sum + count)).toBe(9_000_001)
  })

  it('are left out where the values are no floats, and refused for what is not there', async () => {
    const folder = await checkpoint('I8', new Uint8Array(4), [4])
    expect(await tensorDetails(folder, 'w')).toEqual({ name: 'w', figures: null })
    await expect(tensorDetails(folder, 'v')).rejects.toMatchObject({ code: 'bad_request' })
  })
})
