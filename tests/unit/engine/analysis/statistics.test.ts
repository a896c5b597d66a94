import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobEvent } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import type { ModelStatistics } from '@shared/statistics'
import { describe, expect, it } from 'vitest'
import {
  energyOf,
  layersOf,
  NeighbourMeasure,
  sample,
} from '../../../../src/main/engine/analysis/analyse'
import { StatisticsSum } from '../../../../src/main/engine/analysis/tensorStatistics'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { run as statistics } from '../../../../src/main/engine/jobs/statistics'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

describe("a tensor's figures", () => {
  it('are those of all its parts together', () => {
    const sum = new StatisticsSum()
    sum.add(Float32Array.of(3, -4, 0))
    sum.add(Float32Array.of(-12))
    expect(sum.result()).toEqual({ norm: 13, meanAbs: 19 / 4, maxAbs: 12, nan: 0, infinite: 0 })
    expect(new StatisticsSum().result()).toEqual({
      norm: 0,
      meanAbs: 0,
      maxAbs: 0,
      nan: 0,
      infinite: 0,
    })
  })

  it('leave out what is not finite, and count it', () => {
    const sum = new StatisticsSum()
    sum.add(Float32Array.of(NaN, 3, -Infinity, Infinity, -4))
    expect(sum.result()).toEqual({ norm: 5, meanAbs: 3.5, maxAbs: 4, nan: 1, infinite: 2 })
  })

  it('hold for the largest numbers there are', () => {
    const sum = new StatisticsSum()
    const huge = 3.4028234663852886e38
    sum.add(new Float32Array(5).fill(huge))
    expect(sum.result()).toMatchObject({ maxAbs: huge, infinite: 0 })
    expect(sum.result().norm / (huge * Math.sqrt(5))).toBeCloseTo(1, 12)
  })
})

describe('the statistics of a checkpoint', () => {
  const run = async (
    model: string,
    file: string,
  ): Promise<{ events: JobEvent[]; found: ModelStatistics }> => {
    const job = statistics(
      { kind: 'statistics', model, file },
      { signal: new AbortController().signal },
    )
    const events: JobEvent[] = []
    for (let next = await job.next(); !next.done; next = await job.next()) events.push(next.value)
    return { events, found: JSON.parse(await readFile(file, 'utf8')) as ModelStatistics }
  }

  it('are what reading every tensor gives', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({
      dir: join(folder, 'm'),
      architecture: 'qwen2',
      layers: 3,
      shards: 2,
      dtype: 'F16',
    })
    const { events, found } = await run(model, join(folder, 'cache', 's.json'))
    expect(events.at(-1)).toMatchObject({ type: 'step', id: 'read' })
    expect(found.rows.map(({ key }) => key)).toEqual([
      'q_proj',
      'k_proj',
      'v_proj',
      'o_proj',
      'gate_proj',
      'up_proj',
      'down_proj',
      'self_attn.q_proj.bias',
      'self_attn.k_proj.bias',
      'self_attn.v_proj.bias',
      'input_layernorm.weight',
      'post_attention_layernorm.weight',
    ])
    const checkpoint = await Checkpoint.open(model)
    try {
      const values = await checkpoint.readFloat32('model.layers.2.mlp.up_proj.weight')
      const cell = found.rows.find(({ key }) => key === 'up_proj')?.cells[2]
      expect(cell?.norm).toBeCloseTo(Math.sqrt(values.reduce((sum, v) => sum + v * v, 0)), 6)
      expect(cell?.maxAbs).toBe(values.reduce((most, v) => Math.max(most, Math.abs(v)), 0))
      expect(found.others.map(({ name }) => name)).toContain('model.norm.weight')
    } finally {
      await checkpoint.close()
    }
  })

  it('name the tensors that are damaged', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm'), layers: 3, dtype: 'F32' })
    const file = join(model, 'model.safetensors')
    const bytes = await readFile(file)
    const checkpoint = await Checkpoint.open(model)
    const { offset } = checkpoint.tensors.get('model.layers.1.self_attn.o_proj.weight') ?? {
      offset: 0,
    }
    await checkpoint.close()
    bytes.writeFloatLE(NaN, offset)
    bytes.writeFloatLE(Infinity, offset + 4)
    await writeFile(file, bytes)
    const { found } = await run(model, join(folder, 's.json'))
    expect(found.damaged).toEqual([
      { name: 'model.layers.1.self_attn.o_proj.weight', nan: 1, infinite: 1 },
    ])
    expect(found.damagedCount).toBe(1)
  })

  it('stop when they are cancelled, and leave no file', async () => {
    const folder = await tempFolder()
    const model = await writeTinyCheckpoint({ dir: join(folder, 'm') })
    await mkdir(join(folder, 'c'))
    const file = join(folder, 'c', 's.json')
    const controller = new AbortController()
    const job = statistics({ kind: 'statistics', model, file }, { signal: controller.signal })
    await job.next()
    controller.abort()
    await expect(job.next()).rejects.toThrow()
    await expect(readFile(file)).rejects.toThrow()
  })
})

describe('neighbours', () => {
  it('are compared as vectors, whatever their buffer is used for afterwards', () => {
    const measure = new NeighbourMeasure(4)
    const buffer = Float32Array.of(3, 4)
    measure.add(0, buffer)
    buffer.set([8, 6])
    measure.add(1, buffer)
    buffer.fill(0)
    measure.add(2, buffer)
    buffer.set([-1, 0])
    measure.add(3, buffer)
    expect(measure.norms).toEqual([5, 10, 0, 1])
    expect(measure.cosines).toEqual([0.96, 0, 0])
  })

  it('of a layer in parts are compared as one, and none with a layer that is not beside it', () => {
    const measure = new NeighbourMeasure(4)
    for (const part of [Float32Array.of(3), Float32Array.of(4)]) {
      measure.add(0, part)
      measure.add(
        1,
        part.map((value) => 2 * value),
      )
      measure.add(3, part)
    }
    expect(measure.norms).toEqual([5, 10, null, 5])
    expect(measure.cosines).toEqual([1, null, null])
  })

  it('that hold something not finite are compared without it', () => {
    const measure = new NeighbourMeasure(2)
    measure.add(0, Float32Array.of(3, NaN, 4))
    measure.add(1, Float32Array.of(6, 1, -Infinity))
    expect(measure.norms).toEqual([5, Math.sqrt(37)])
    expect(measure.cosines[0]).toBeCloseTo(18 / (5 * Math.sqrt(37)), 12)
  })
})

describe('curves', () => {
  it('are kept whole when short, and with both ends and their steep start when long', () => {
    expect(sample(Float32Array.of(3, 2, 1))).toEqual({ x: [0, 1, 2], y: [3, 2, 1] })
    const long = Float64Array.from({ length: 14_336 }, (_, i) => 14_336 - i)
    const { x, y } = sample(long)
    expect([x[0], x.at(-1)]).toEqual([0, 14_335])
    expect(x.length).toBeLessThanOrEqual(400)
    expect(x.length).toBeGreaterThan(380)
    expect(x.every((place, i) => i === 0 || place > (x[i - 1] ?? 0))).toBe(true)
    expect(y[5]).toBe(14_336 - (x[5] ?? 0))
    expect((x[200] ?? 0) - (x[199] ?? 0)).toBeLessThan((x.at(-1) ?? 0) - (x.at(-2) ?? 0))
  })

  it('of energy rise to one over all directions', () => {
    expect([...energyOf(Float32Array.of(2, 1, 1))]).toEqual([4 / 6, 5 / 6, 1])
    expect([...energyOf(Float32Array.of(0, 0))]).toEqual([0, 0])
  })
})

it.each<[MethodSpec, string[]]>([
  [{ name: 'neighbour-mean', gaps: [1, 1, 1, 2] }, ['0', '1', '1·1', '1·2', '1·3', '2', '2½', '3']],
  [{ name: 'interpolation', gaps: [1] }, ['0', '1', '1+', '2', '3']],
  [{ name: 'llama-pro', groups: 2 }, ['0', '1', '1+', '2', '3', '3+']],
  [{ name: 'solar', overlap: 1 }, ['0', '1', '2', '1+', '2+', '3']],
])('the layers of %j have their names', (method, labels) => {
  expect(layersOf(planExpansion(method, 4)).map(({ label }) => label)).toEqual(labels)
})
