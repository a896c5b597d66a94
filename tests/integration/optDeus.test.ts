import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpandResult } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { describe, expect, test } from 'vitest'
import { transportShares } from '../../src/main/engine/alignment/sinkhorn'
import { elementsOf } from '../../src/main/engine/architectures/Architecture'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { estimate } from '../../src/main/engine/costs/estimate'
import { ForwardPass } from '../../src/main/engine/decoder/ForwardPass'
import { logitsOf } from '../../src/main/engine/evaluation/scoring'
import { Random } from '../../src/main/engine/lib/random'
import { Runtime } from '../../src/main/engine/onnx/Runtime'
import {
  encodeSafetensors,
  writeTinyCheckpoint,
  type TinyArchitecture,
  type TinyCheckpointOptions,
} from '../support/checkpoints'
import { runExpand, runTask } from '../support/jobs'
import { expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const GROUPS = 4
const INNER = 40

/** Grouped queries; biases of all or of q, k and v; norms of heads; fused tensors. */
const CASES: readonly (readonly [TinyArchitecture, Partial<TinyCheckpointOptions>])[] = [
  ['llama', { attentionBias: true, mlpBias: true }],
  ['qwen2', {}],
  ['qwen3', {}],
  ['phi3', {}],
]

async function tiny(options: Partial<TinyCheckpointOptions> = {}): Promise<string> {
  const dir = join(await tempFolder(), 'base')
  const shape = {
    layers: 4,
    heads: 8,
    kvHeads: GROUPS,
    hidden: 64,
    headDim: 8,
    intermediate: INNER,
  }
  return writeTinyCheckpoint({ dir, ...shape, dtype: 'F32', seed: 5, ...options })
}

/** Makes layer 2 layer 1 with its neurons and its groups of heads in another order. */
async function repeatShuffled(folder: string): Promise<void> {
  const checkpoint = await Checkpoint.open(folder)
  const { config, architecture } = checkpoint
  const slots = checkpoint.slotsOf(0)
  const shuffled = (count: number, part: string): Uint32Array =>
    new Random(9, part).shuffle(Uint32Array.from({ length: count }, (_, index) => index))
  const orders = { groups: shuffled(GROUPS, 'groups'), neurons: shuffled(INNER, 'neurons') }
  const made = new Map<string, Float32Array>()
  for (const name of checkpoint.tensors.keys()) made.set(name, await checkpoint.readFloat32(name))
  for (const { suffix } of architecture.layerTensors(config, 0)) {
    const from = made.get(checkpoint.layerTensorName(1, suffix))
    if (from) made.set(checkpoint.layerTensorName(2, suffix), from.slice())
  }
  for (const { id, weight, bias } of slots) {
    if (id === 'o_proj' || id === 'down_proj') continue
    const order = id === 'gate_proj' || id === 'up_proj' ? orders.neurons : orders.groups
    for (const span of [weight, bias]) {
      const values = span && made.get(checkpoint.layerTensorName(2, span.tensor))
      if (!values) continue
      const own = values.subarray(span.offset, span.offset + elementsOf(span.shape))
      const before = own.slice()
      const size = own.length / order.length
      order.forEach((unit, at) => {
        own.set(before.subarray(unit * size, (unit + 1) * size), at * size)
      })
    }
  }
  const tensors = [...checkpoint.tensors.values()].map(({ name, shape }) => ({
    name,
    dtype: 'F32',
    shape,
    bytes: new Uint8Array((made.get(name) ?? new Float32Array(0)).slice().buffer),
  }))
  await checkpoint.close()
  await writeFile(join(folder, 'model.safetensors'), encodeSafetensors(tensors))
}

async function grow(
  model: string,
  gaps: readonly number[],
  asPublished = false,
): Promise<ExpandResult> {
  const out = join(await tempFolder(), 'grown')
  const method: MethodSpec = { name: 'opt-deus', gaps, asPublished }
  return runExpand(expandSpec({ model, out, method, device: 'cpu' }))
}

async function logits(folder: string): Promise<Float32Array> {
  const checkpoint = await Checkpoint.open(folder)
  const runtime = await Runtime.open('cpu')
  const pass = new ForwardPass(checkpoint, runtime, new AbortController().signal)
  const ids = Int32Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 64)
  const found = await logitsOf(pass, ids)
  await pass.dispose()
  await runtime.dispose()
  await checkpoint.close()
  return found
}

/** A layer's tensors by their names within it. */
async function layerOf(folder: string, layer: number): Promise<Record<string, Float32Array>> {
  const checkpoint = await Checkpoint.open(folder)
  const found: Record<string, Float32Array> = {}
  for (const { suffix } of checkpoint.architecture.layerTensors(checkpoint.config, 0)) {
    const name = checkpoint.layerTensorName(layer, suffix)
    if (checkpoint.tensors.has(name)) found[suffix] = await checkpoint.readFloat32(name)
  }
  await checkpoint.close()
  return found
}

function distance(a: ArrayLike<number> = [], b: ArrayLike<number> = [], factor = 1): number {
  expect(a.length).toBe(b.length)
  let [difference, size] = [0, 0]
  for (let i = 0; i < b.length; i += 1) {
    const expected = factor * (b[i] ?? NaN)
    difference += ((a[i] ?? NaN) - expected) ** 2
    size += expected ** 2
  }
  return Math.sqrt(difference / size)
}

const isOutput = (suffix: string): boolean => /o_proj|down_proj/.test(suffix)

describe.each(CASES)('OpT-DeUS on a %s model', (architecture, options) => {
  test('answers as the base, with originals as they were', async () => {
    const model = await tiny({ architecture, ...options })
    const { out } = await grow(model, [0, 1, 1, 2])
    const [before, after] = [await logits(model), await logits(out)]
    const scale = Math.max(...before.map(Math.abs))
    const apart = after.map((value, index) => Math.abs(value - (before[index] ?? NaN)))
    expect(Math.max(...apart)).toBeLessThan(1e-6 * scale)
    for (const [old, grown] of [
      [0, 0],
      [1, 2],
      [2, 5],
      [3, 7],
    ] as const) {
      expect(await layerOf(out, grown)).toEqual(await layerOf(model, old))
    }
  })

  test('fuses a layer and itself in another order to that layer', async () => {
    const model = await tiny({ architecture, ...options })
    await repeatShuffled(model)
    const right = await layerOf(model, 2)
    const fused = await layerOf((await grow(model, [1])).out, 2)
    expect(Object.keys(fused)).toEqual(Object.keys(right))
    for (const [suffix, values] of Object.entries(fused)) {
      if (isOutput(suffix)) expect(values.every((value) => value === 0)).toBe(true)
      else expect(distance(values, right[suffix])).toBeLessThan(1e-3)
    }
    // Layers that have nothing in common lose what is averaged.
    const other = await layerOf((await grow(model, [0])).out, 1)
    const next = await layerOf(model, 1)
    const matrices = Object.keys(other).filter((name) => /(up|k|qkv)_proj.weight/.test(name))
    for (const name of matrices) expect(distance(other[name], next[name])).toBeGreaterThan(0.3)
  })
})

test('as published, a fused layer is half of the next one', async () => {
  const model = await tiny({ intermediate: 256 })
  const { out } = await grow(model, [1], true)
  const [fused, right] = [await layerOf(out, 2), await layerOf(model, 2)]
  for (const slot of ['mlp.gate_proj.weight', 'mlp.up_proj.weight']) {
    const apart = distance(fused[slot], right[slot], 0.5)
    expect(apart).toBeGreaterThan(1e-6)
    expect(apart).toBeLessThan(0.004)
  }
  const whole = await layerOf((await grow(model, [1])).out, 2)
  expect(distance(whole['mlp.up_proj.weight'], right['mlp.up_proj.weight'], 0.5)).toBeGreaterThan(
    0.004,
  )
  expect(JSON.parse(await readFile(join(out, 'lesa.json'), 'utf8'))).toMatchObject({
    settings: { asPublished: true },
  })
  expect(await readFile(join(out, 'README.md'), 'utf8')).toContain('optimal transport')
})

test('plans and fused matrices are those of NumPy', async () => {
  const folder = join(import.meta.dirname, '../fixtures/opt-deus')
  const expected = JSON.parse(await readFile(join(folder, 'fused.json'), 'utf8')) as {
    readonly neurons: readonly number[]
    readonly fused: Readonly<Record<string, readonly number[]>>
  }
  const model = join(folder, 'model')
  const [left, right] = [await layerOf(model, 0), await layerOf(model, 1)]
  const n = 24
  const parts = ['mlp.gate_proj.weight', 'mlp.up_proj.weight']
  const cost = Float32Array.from({ length: n * n }, (_, at) => {
    const [row, column] = [Math.floor(at / n), at % n]
    const squares = parts.flatMap((part) =>
      Array.from(
        { length: 16 },
        (__, k) =>
          ((right[part]?.[row * 16 + k] ?? NaN) - (left[part]?.[column * 16 + k] ?? NaN)) ** 2,
      ),
    )
    return Math.sqrt(squares.reduce((sum, square) => sum + square, 0))
  })
  const shares = await transportShares(cost, n)
  const transposed = shares.map((_, at) => (shares[(at % n) * n + Math.floor(at / n)] ?? NaN) / n)
  expect(distance(transposed, expected.neurons)).toBeLessThan(1e-5)
  const fused = await layerOf((await grow(model, [0])).out, 1)
  for (const [suffix, values] of Object.entries(expected.fused)) {
    expect(distance(fused[suffix], values)).toBeLessThan(1e-4)
  }
})

test('shares of every row and column sum to one', async () => {
  const random = new Random(1, 'costs')
  const n = 50
  const cost = Float32Array.from({ length: n * n }, () => Math.abs(random.normal()))
  const shares = await transportShares(cost, n)
  for (let i = 0; i < n; i += 1) {
    const row = shares.subarray(i * n, (i + 1) * n).reduce((sum, value) => sum + value, 0)
    const column = shares.reduce((sum, value, at) => (at % n === i ? sum + value : sum), 0)
    expect(row).toBeCloseTo(1, 5)
    expect(column).toBeCloseTo(1, 5)
  }
  // Nothing tells these apart.
  expect(await transportShares(new Float32Array(4), 2)).toEqual(new Float32Array(4).fill(0.5))
})

test('tells how far it is', async () => {
  const model = await tiny()
  const out = join(await tempFolder(), 'grown')
  const method: MethodSpec = { name: 'opt-deus', gaps: [0, 2], asPublished: false }
  const { events } = await runTask(expandSpec({ model, out, method, device: 'cpu' }))
  const steps = events.flatMap((event) =>
    event.type === 'step' && event.id === 'transport' ? [event.done] : [],
  )
  expect(steps.length).toBeGreaterThan(6)
  expect(steps).toEqual([...steps].sort((a, b) => a - b))
  expect(steps.at(-1)).toBe(1)
})

test('stops where it is asked to, and leaves nothing', async () => {
  const model = await tiny()
  const out = join(await tempFolder(), 'grown')
  const method: MethodSpec = { name: 'opt-deus', gaps: [0, 2], asPublished: false }
  const stop = new AbortController()
  const ended = runTask(expandSpec({ model, out, method, device: 'cpu' }), {
    signal: stop.signal,
    onEvent: (event) => {
      if (event.type === 'step' && event.id === 'transport' && event.done > 0) stop.abort()
    },
  })
  await expect(ended).rejects.toThrow()
  expect(await readdir(join(out, '..'))).toEqual([])
})

test('is a part of the estimate', async () => {
  const model = await tiny()
  const out = join(await tempFolder(), 'grown')
  const method: MethodSpec = { name: 'opt-deus', gaps: [0, 2, 2], asPublished: false }
  const spec = expandSpec({ model, out, method, device: 'cpu' })
  const cost = await estimate({ spec, isQuick: true })
  expect(cost.breakdown.seconds.map(({ label }) => label)).toContain('transport layers')
  // Two gaps of q (64 rows), k and v (32), gate and up (40), 64 wide, in float32.
  expect(cost.breakdown.diskBytes).toContainEqual({
    label: 'transported layers until they are written',
    value: 2 * (64 + 2 * 32 + 2 * 40) * 64 * 4,
  })
  const memory = cost.breakdown.hostBytes.map(({ label }) => label)
  expect(memory).toContain('transport plan and matrices')
})

test('refuses gaps that the model does not have, a factor, alignment, and weights that are not finite', async () => {
  const model = await tiny()
  const out = join(await tempFolder(), 'grown')
  const method: MethodSpec = { name: 'opt-deus', gaps: [1], asPublished: false }
  const spec = expandSpec({ model, out, method, device: 'cpu' })
  await expect(grow(model, [3])).rejects.toMatchObject({ code: 'bad_request' })
  await expect(runExpand({ ...spec, damp: 0.5 })).rejects.toMatchObject({ code: 'bad_request' })
  await expect(runExpand({ ...spec, align: true })).rejects.toMatchObject({ code: 'bad_request' })
  const broken = await tiny({ scale: (name) => (name.includes('layers.1.mlp.up') ? NaN : 1) })
  await expect(grow(broken, [1])).rejects.toMatchObject({
    code: 'bad_checkpoint',
    message: expect.stringContaining('Layers 1 and 2') as string,
  })
})

test('a job keeps what was transported, and a later run of the same takes it up', async () => {
  const model = await tiny()
  const folder = await tempFolder()
  const job = join(folder, 'job')
  const method: MethodSpec = { name: 'opt-deus', gaps: [1], asPublished: false }
  const grown = async (name: string): Promise<Buffer> => {
    const out = join(folder, name)
    await runExpand(expandSpec({ model, out, method, device: 'cpu', job }))
    return readFile(join(out, 'model.safetensors'))
  }
  const first = await grown('first')
  const kept = await modified(job)
  expect(kept.size).toBeGreaterThan(0)
  expect(Buffer.compare(await grown('second'), first)).toBe(0)
  for (const [path, time] of kept) expect((await modified(job)).get(path)).toBe(time)
})

/** When each file of the transported layers was written. */
async function modified(job: string): Promise<Map<string, number>> {
  const files = (await readdir(job, { recursive: true })).filter((name) => name.endsWith('.weight'))
  return new Map(
    await Promise.all(
      files.map(async (name) => [name, (await stat(join(job, name))).mtimeMs] as const),
    ),
  )
}
