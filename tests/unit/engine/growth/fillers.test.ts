import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  blend,
  combine,
  noiseLike,
  predicted,
  weightedMean,
  type Fill,
} from '@shared/methods/define'
import { planExpansion } from '@shared/plan'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { fillerOf, wrapped } from '../../../../src/main/engine/growth/fillers'
import {
  layOut,
  type LaidOutTensor,
  type FilledSlot,
} from '../../../../src/main/engine/growth/grownLayout'
import { contentsOf, type Filler } from '../../../../src/main/engine/growth/grownTensors'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

let checkpoint: Checkpoint

beforeEach(async () => {
  const dir = await writeTinyCheckpoint({ dir: join(await tempFolder(), 'base'), dtype: 'F32' })
  checkpoint = await Checkpoint.open(dir)
})
afterEach(() => checkpoint.close())

const UP = 'mlp.up_proj.weight'
const read = (layer: number, suffix = UP): Promise<Float32Array> =>
  checkpoint.readFloat32(`model.layers.${layer}.${suffix}`)

function layoutOf(gaps: readonly number[]): readonly LaidOutTensor[] {
  const { layers } = planExpansion({ name: 'neighbour-mean', gaps }, 4)
  return layOut(checkpoint, { layers, rest: 'mean', dtype: 'keep' }).tensors
}

function matrixAt(layer: number, gaps: readonly number[]): FilledSlot {
  const found = layoutOf(gaps).find(({ name }) => name === `model.layers.${layer}.${UP}`)
  const [slot] = found?.source.kind === 'filled' ? found.source.slots : []
  if (!slot) throw new Error('not a computed matrix')
  return slot
}

async function collect(chunks: AsyncIterable<Float32Array>): Promise<Float32Array> {
  const parts: number[] = []
  for await (const chunk of chunks) parts.push(...chunk)
  return Float32Array.from(parts)
}

function filled(fill: Fill, matrix: FilledSlot, seed = 0): Promise<Float32Array> {
  return collect(fillerOf(fill, { checkpoint, predicted: [], seed })(matrix))
}

const norm = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))

describe('a fill from both neighbours', () => {
  it('computes each element from the base layers beside the gap, by where the new one lies', async () => {
    const [left, right] = [await read(1), await read(2)]
    for (const [layer, t] of [
      [2, 0.25],
      [3, 0.5],
      [4, 0.75],
    ] as const) {
      const found = await filled(blend(weightedMean), matrixAt(layer, [1, 1, 1]))
      expect(found).toEqual(left.map((a, i) => (1 - t) * a + t * (right[i] ?? NaN)))
    }
  })

  it('may look at whole matrices', async () => {
    const [left, right] = [await read(1), await read(2)]
    const ofLargerNorm = combine((a, b) => (norm(a) >= norm(b) ? a : b))
    const found = await filled(ofLargerNorm, matrixAt(2, [1]))
    expect(found).toEqual(norm(left) >= norm(right) ? left : right)
  })
})

describe('noise in the place of another fill', () => {
  it('has its norm and nothing else of it', async () => {
    const matrix = matrixAt(2, [1])
    const mean = await filled(blend(weightedMean), matrix)
    const noise = await filled(noiseLike(blend(weightedMean)), matrix)
    expect(norm(noise)).toBeCloseTo(norm(mean), 4)
    const product = noise.reduce((sum, value, i) => sum + value * (mean[i] ?? NaN), 0)
    expect(Math.abs(product) / norm(mean) ** 2).toBeLessThan(0.1)
  })

  it('is the same for a seed, and another for each seed and layer', async () => {
    const fill = noiseLike(blend(weightedMean))
    const first = await filled(fill, matrixAt(2, [1, 1]), 3)
    expect(await filled(fill, matrixAt(2, [1, 1]), 3)).toEqual(first)
    expect(await filled(fill, matrixAt(2, [1, 1]), 4)).not.toEqual(first)
    expect(await filled(fill, matrixAt(3, [1, 1]), 3)).not.toEqual(first)
  })

  it('wraps predictions where they are made', async () => {
    const prediction = Float32Array.of(3, 4)
    const give = () => Promise.resolve(prediction)
    expect(await wrapped(predicted, give, 0)('q_proj', { layer: 1, chain: 0 })).toBe(prediction)
    const noise = await wrapped(noiseLike(predicted), give, 0)('q_proj', { layer: 1, chain: 0 })
    expect(norm(noise)).toBeCloseTo(5, 5)
    expect(noise).not.toEqual(prediction)
  })
})

describe('the contents of a laid-out model', () => {
  it('are copied, made zero or made, as the layout says', () => {
    const { layers } = planExpansion({ name: 'llama-pro', groups: 1 }, 4)
    const layout = layOut(checkpoint, { layers, rest: 'mean', dtype: 'keep' })
    const contents = contentsOf(checkpoint, layout)
    const of = (suffix: string) =>
      contents.find(({ name }) => name === `model.layers.4.${suffix}`)?.content
    expect(of('mlp.down_proj.weight')).toBe('zeros')
    expect(of(UP)).toMatchObject({ copy: { name: `model.layers.3.${UP}` } })
  })

  it('are converted when another element type is wanted', async () => {
    const { layers } = planExpansion({ name: 'interpolation', gaps: [3] }, 4)
    const layout = layOut(checkpoint, { layers, rest: 'mean', dtype: 'bf16' })
    const content = contentsOf(checkpoint, layout).find(
      ({ name }) => name === `model.layers.4.${UP}`,
    )?.content
    if (typeof content !== 'function') throw new Error('not made')
    expect(await collect(content())).toEqual(await read(3))
  })

  it('take the mean of norms whatever fills the matrices', async () => {
    const { layers } = planExpansion({ name: 'neighbour-mean', gaps: [1, 1, 1] }, 4)
    const layout = layOut(checkpoint, { layers, rest: 'mean', dtype: 'keep' })
    const nothing: Filler = () => Readable.from([])
    const suffix = 'input_layernorm.weight'
    const [left, right] = [await read(1, suffix), await read(2, suffix)]
    const content = contentsOf(checkpoint, layout, nothing).find(
      ({ name }) => name === `model.layers.2.${suffix}`,
    )?.content
    if (typeof content !== 'function') throw new Error('not made')
    expect(await collect(content())).toEqual(
      left.map((a, i) => 0.75 * a + 0.25 * (right[i] ?? NaN)),
    )
  })

  it('cannot be had of computed layers without a filler', () => {
    const { layers } = planExpansion({ name: 'neighbour-mean' }, 4)
    const layout = layOut(checkpoint, { layers, rest: 'mean', dtype: 'keep' })
    expect(() => contentsOf(checkpoint, layout)).toThrow(expect.objectContaining({ code: 'bug' }))
  })
})
