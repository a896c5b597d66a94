import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpandResult, ExpandSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { describe, expect, test } from 'vitest'
import { LayerMatcher } from '../../src/main/engine/alignment/matching'
import { Alignment } from '../../src/main/engine/alignment/Alignment'
import { inverse, type LayerOrder } from '../../src/main/engine/alignment/orders'
import { elementsOf } from '../../src/main/engine/architectures/Architecture'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
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
import { learnedMethod, runExpand, runTask } from '../support/jobs'
import { expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const LAYERS = 4

/** Grouped queries throughout; biases of q, k and v (Qwen2) or of all, norms of heads (Qwen3), fused tensors (Phi-3). */
const CASES: readonly (readonly [string, Partial<TinyCheckpointOptions>])[] = [
  ['llama', { attentionBias: true, mlpBias: true }],
  ['qwen2', {}],
  ['qwen3', {}],
  ['phi3', {}],
]

async function tiny(options: Partial<TinyCheckpointOptions> = {}): Promise<string> {
  const dir = join(await tempFolder(), 'base')
  const shape = { layers: LAYERS, heads: 8, kvHeads: 4, hidden: 64, headDim: 8, intermediate: 40 }
  return writeTinyCheckpoint({ dir, ...shape, dtype: 'F32', seed: 5, ...options })
}

/** Where each element of a slot's matrix or bias comes from: units of `size` rows or columns in another order. */
function moved(
  values: Float32Array,
  width: number,
  axis: 'rows' | 'columns',
  size: number,
  order: Int32Array,
): Float32Array {
  const from = (index: number): number =>
    (order[Math.floor(index / size)] ?? 0) * size + (index % size)
  return values.map((_, at) => {
    const [row, column] = [Math.floor(at / width), at % width]
    const [r, c] = axis === 'rows' ? [from(row), column] : [row, from(column)]
    return values[r * width + c] ?? NaN
  })
}

/** Writes the model again in F32 with each layer's units in an order, its tensors made by `tensorOf`. */
async function rewrite(
  folder: string,
  orderOf: (layer: number) => LayerOrder | null,
  sourceOf: (layer: number) => number = (layer) => layer,
): Promise<void> {
  const checkpoint = await Checkpoint.open(folder)
  const { config, architecture } = checkpoint
  const slots = checkpoint.slotsOf(0)
  const made = new Map<string, Float32Array>()
  for (const name of checkpoint.tensors.keys()) made.set(name, await checkpoint.readFloat32(name))
  const axes: Record<string, readonly ['rows' | 'columns', keyof LayerOrder]> = {
    q_proj: ['rows', 'heads'],
    k_proj: ['rows', 'groups'],
    v_proj: ['rows', 'groups'],
    o_proj: ['columns', 'heads'],
    gate_proj: ['rows', 'neurons'],
    up_proj: ['rows', 'neurons'],
    down_proj: ['columns', 'neurons'],
  }
  for (let layer = 0; layer < config.numHiddenLayers; layer += 1) {
    for (const { suffix } of architecture.layerTensors(config, 0)) {
      const name = checkpoint.layerTensorName(layer, suffix)
      const from = checkpoint.layerTensorName(sourceOf(layer), suffix)
      if (made.has(name)) made.set(name, await checkpoint.readFloat32(from))
    }
    const order = orderOf(layer)
    if (!order) continue
    for (const { id, weight, bias } of slots) {
      const [axis, unit] = axes[id] ?? ['rows', 'neurons']
      const size = unit === 'neurons' ? 1 : config.headDim
      for (const span of [weight, bias]) {
        if (!span || (span === bias && axis === 'columns')) continue
        const values = made.get(checkpoint.layerTensorName(layer, span.tensor))
        if (!values) continue
        const own = values.subarray(span.offset, span.offset + elementsOf(span.shape))
        const [, width = 1] = span.shape
        own.set(moved(own.slice(), width, axis, size, order[unit]))
      }
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

/** An order of its own for each layer; query heads stay with their key/value head. */
function randomOrder(layer: number): LayerOrder {
  const shuffled = (length: number, part: string): Int32Array =>
    Int32Array.from(
      new Random(9, part, layer).shuffle(Uint32Array.from({ length }, (_, index) => index)),
    )
  const groups = shuffled(4, 'groups')
  const heads = [...groups].flatMap((group, at) =>
    [...shuffled(2, `inside ${at}`)].map((head) => group * 2 + head),
  )
  return { neurons: shuffled(40, 'neurons'), groups, heads: Int32Array.from(heads) }
}

async function logits(folder: string): Promise<Float32Array> {
  const checkpoint = await Checkpoint.open(folder)
  const runtime = await Runtime.open('cpu')
  const pass = new ForwardPass(checkpoint, runtime, new AbortController().signal)
  const found = await logitsOf(
    pass,
    Int32Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 64),
  )
  await pass.dispose()
  await runtime.dispose()
  await checkpoint.close()
  return found
}

/** The orders that are found for a model's layers, one after another. */
async function alignmentOf(folder: string): Promise<Alignment> {
  const checkpoint = await Checkpoint.open(folder)
  const runtime = await Runtime.open('cpu')
  const matcher = await LayerMatcher.create(checkpoint, runtime)
  const matches: LayerOrder[] = []
  for (let layer = 0; layer + 1 < checkpoint.config.numHiddenLayers; layer += 1) {
    matches.push(await matcher.match(layer, layer + 1, () => Promise.resolve()))
  }
  await matcher.dispose()
  await runtime.dispose()
  await checkpoint.close()
  return Alignment.fromMatches(checkpoint.config, 0, matches)
}

async function grow(
  model: string,
  method: MethodSpec,
  changes: Partial<ExpandSpec> = {},
): Promise<ExpandResult> {
  const out = join(await tempFolder(), 'grown')
  return runExpand(expandSpec({ model, out, method, align: true, ...changes }))
}

/** A layer's tensors by their names within it. */
async function layerOf(folder: string, layer: number): Promise<Record<string, Float32Array>> {
  const checkpoint = await Checkpoint.open(folder)
  const found: Record<string, Float32Array> = {}
  for (const { suffix } of checkpoint.architecture.layerTensors(checkpoint.config, 0)) {
    found[suffix] = await checkpoint.readFloat32(checkpoint.layerTensorName(layer, suffix))
  }
  await checkpoint.close()
  return found
}

const FEW: Extract<MethodSpec, { name: 'lesa' }> = learnedMethod('paper', {
  gaps: [1],
  predictor: { ...PRESET_SETTINGS.paper, length: { unit: 'steps', value: 20 }, hiddenSize: 8 },
})

describe.each(CASES)('layers of a %s model', (name, options) => {
  const architecture = name as TinyArchitecture

  test('that are aligned compute what they computed', async () => {
    const model = await tiny({ architecture, ...options })
    const before = await logits(model)
    const checkpoint = await Checkpoint.open(model)
    const alignment = await alignmentOf(model)
    expect(alignment.moved).toBeGreaterThan(0.3)
    await checkpoint.close()
    await rewrite(model, (layer) => alignment.orderOf(layer))
    const after = await logits(model)
    const scale = Math.max(...before.map(Math.abs))
    expect(Math.max(...after.map((value, i) => Math.abs(value - (before[i] ?? 0))))).toBeLessThan(
      1e-6 * scale,
    )
  })

  test('that are one another in other orders are found out', async () => {
    const model = await tiny({ architecture, ...options })
    await rewrite(model, randomOrder, () => 0)
    const alignment = await alignmentOf(model)
    const first = randomOrder(0)
    for (let layer = 1; layer < LAYERS; layer += 1) {
      const own = randomOrder(layer)
      const found = alignment.orderOf(layer)
      for (const unit of ['neurons', 'groups', 'heads'] as const) {
        expect([...found[unit]].map((at) => own[unit][at])).toEqual([...first[unit]])
      }
    }
    // The mean of a layer and itself in another order is the layer, in the order that the left one has.
    const mean = await grow(model, { name: 'neighbour-mean', gaps: [1, 2, 2] })
    const left = await layerOf(model, 1)
    const computed = await layerOf(mean.out, 2)
    for (const [suffix, values] of Object.entries(computed)) expect(values).toEqual(left[suffix])
    // Without it they are mixed with what has nothing in common with them.
    const mixed = await layerOf(
      (await grow(model, { name: 'neighbour-mean', gaps: [1] }, { align: false })).out,
      2,
    )
    expect(mixed).not.toEqual(computed)
  })

  test.each(['mean', 'previous', 'next', 'first'] as const)(
    'leave the originals as they were; a new one is in its left neighbour’s order (%s)',
    async (rest) => {
      const model = await tiny({ architecture, ...options })
      await rewrite(model, randomOrder, () => 0)
      const { out } = await grow(model, { name: 'neighbour-mean', gaps: [2] }, { rest })
      for (const [old, grown] of [
        [0, 0],
        [1, 1],
        [2, 2],
        [3, 4],
      ] as const) {
        expect(await layerOf(out, grown)).toEqual(await layerOf(model, old))
      }
      expect(await layerOf(out, 3)).toEqual(await layerOf(model, 2))
    },
  )

  test('are predicted alike whatever the order of each', async () => {
    const model = await tiny({ architecture, ...options })
    const sorted = await layerOf((await grow(model, FEW)).out, 2)
    // Other orders of every layer but the first, whose own is the common one: the same predictions, in layer 1's order.
    await rewrite(model, (layer) => (layer === 0 ? null : randomOrder(layer)))
    const again = await grow(model, FEW)
    expect(await layerOf(again.out, 2)).not.toEqual(sorted)
    await rewrite(again.out, (layer) => (layer === 2 ? inverse(randomOrder(1)) : null))
    expect(await layerOf(again.out, 2)).toEqual(sorted)
    expect(JSON.parse(await readFile(join(again.out, 'lesa.json'), 'utf8'))).toMatchObject({
      settings: { align: true },
    })
  })
})

test('orders are kept with a job, and taken up', async () => {
  const model = await tiny()
  const job = join(await tempFolder(), 'job')
  const spec = expandSpec({ model, method: FEW, align: true, job, out: join(job, '../one') })
  await runTask(spec)
  const other = { ...FEW, gaps: [2] }
  const { events } = await runTask({ ...spec, method: other, out: join(job, '../two') })
  expect(events).toContainEqual({ type: 'step', id: 'align', done: 1, total: 1, kept: null })
  // Predictions of layers that were not aligned are others.
  const plain = await runTask({ ...spec, align: false, out: join(job, '../three') })
  expect(
    plain.events.some((event) => event.type === 'log' && event.text.includes('taken from')),
  ).toBe(false)
})

test('aligning is refused for what computes nothing from neighbours', async () => {
  await expect(grow(await tiny(), { name: 'interpolation' })).rejects.toMatchObject({
    code: 'bad_request',
    context: { field: 'align', actual: 'interpolation' },
  })
})
