import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { collectAll } from '../../../../src/main/engine/onnx/hostMemory'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import type {
  LayerTrainer,
  LayerTrainerOptions,
} from '../../../../src/main/engine/pretraining/LayerTrainer'
import type { TrainingPlan } from '../../../../src/main/engine/pretraining/memory'
import {
  computingAgain,
  finish,
  keeping,
  openTrainer,
  takeSteps,
  valuesOf,
} from '../../../support/layerTraining'
import { PRETRAIN_CASES } from '../../../support/pretrainCases'
import { seededFloats } from '../../../support/random'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const CONTEXT = 12
const BATCH = 5
const LAYERS = [1, 3]
const SETTINGS = { ...PRETRAIN_CASES['llama']!, schedule: () => 1, layers: LAYERS }

async function tinyModel(): Promise<string> {
  const dir = join(await tempFolder(), 'model')
  return writeTinyCheckpoint({ dir, layers: 5, attentionBias: true, seed: 8 })
}

type Changes = Partial<LayerTrainerOptions>

function open(model: string, changes: Changes = {}): Promise<LayerTrainer> {
  return openTrainer(runtime, model, {
    settings: SETTINGS,
    context: CONTEXT,
    batch: BATCH,
    ...changes,
  })
}

function batchOf(step: number): Int32Array[] {
  return Array.from({ length: BATCH }, (_, row) =>
    Int32Array.from(seededFloats(CONTEXT, 10 * step + row, [0, 64]), Math.floor),
  )
}

const STEPS = 4

/** Reports and weights after some steps. */
async function course(trainer: LayerTrainer, steps = STEPS) {
  const reports = await takeSteps(trainer, steps, batchOf)
  const tensors = await weightsOf(trainer)
  return { reports, tensors }
}

async function weightsOf(trainer: LayerTrainer): Promise<Record<string, Float32Array>> {
  const names = LAYERS.flatMap((layer) =>
    [
      'self_attn.q_proj.weight',
      'self_attn.k_proj.bias',
      'mlp.down_proj.weight',
      'input_layernorm.weight',
    ].map((suffix) => `model.layers.${layer}.${suffix}`),
  )
  const tensors: Record<string, Float32Array> = {}
  for (const name of names) tensors[name] = await valuesOf(trainer, name)
  return tensors
}

type Course = Awaited<ReturnType<typeof course>>

function expectClose(actual: Course, expected: Course): void {
  actual.reports.forEach(({ loss, gradientNorm }, index) => {
    const other = expected.reports[index]!
    expect(Math.abs(loss / other.loss - 1)).toBeLessThan(1e-6)
    expect(Math.abs(gradientNorm / other.gradientNorm - 1)).toBeLessThan(1e-5)
  })
  for (const [name, values] of Object.entries(expected.tensors)) {
    const own = actual.tensors[name]!
    const apart = Math.hypot(...values.map((value, k) => value - own[k]!))
    expect(apart / Math.hypot(...values), name).toBeLessThan(1e-5)
  }
}

describe('where things are kept does not matter', () => {
  test.each([
    [
      'everything kept, micro-batches of two',
      (plan: TrainingPlan) => ({ ...keeping(plan), microBatch: 2 }),
    ],
    ['layers computed again, the whole batch at once', computingAgain(BATCH)],
    ['layers computed again, micro-batches of two', computingAgain(2)],
    [
      'layers computed again, one window at a time',
      computingAgain(1, { vocabularyTile: 64, headRows: 7 }),
    ],
  ])('%s: as with everything kept and the whole batch at once', async (_, plan) => {
    const model = await tinyModel()
    const expected = await course(await open(model, { plan: keeping }))
    expectClose(await course(await open(model, { plan })), expected)
  })

  test.each<[string, Partial<TrainingPlan>]>([
    ['states in files', { placeOf: () => 'file' }],
    ['one state in a file', { placeOf: (layer) => (layer === 3 ? 'file' : 'memory') }],
    ['frozen layers in memory', { pinnedLayers: [0, 4] }],
    ['the vocabulary in memory', { pinsVocabulary: true }],
  ])('%s: the same bit for bit', async (_, changes) => {
    const model = await tinyModel()
    const expected = await course(await open(model, { plan: computingAgain(2) }))
    expect(await course(await open(model, { plan: computingAgain(2, changes) }))).toEqual(expected)
  })

  test('files of states go with the trainer', async () => {
    const scratch = await tempFolder()
    const plan = computingAgain(2, { placeOf: () => 'file' })
    const trainer = await open(await tinyModel(), { scratch, plan })
    await finish(trainer.step(batchOf(1)))
    const files = async () =>
      (await readdir(scratch, { recursive: true })).filter((file) => file.endsWith('.f32'))
    expect(await files()).toHaveLength(LAYERS.length)
    await trainer.dispose()
    expect(await files()).toEqual([])
  })
})

/** Bytes of buffers once the collector has settled: what a tensor held is freed in turns after it was collected. */
async function leastHeld(): Promise<number> {
  let least = Infinity
  for (let turn = 0; turn < 20; turn += 1) {
    collectAll()
    await setImmediate()
    least = Math.min(least, process.memoryUsage().arrayBuffers)
  }
  return least
}

describe('many steps and evaluations', () => {
  test.each([
    ['everything kept', keeping],
    ['layers computed again', computingAgain(2)],
  ])('hold no more memory than a few, with %s', async (_, plan) => {
    const trainer = await open(await tinyModel(), { plan })
    const held = async (first: number): Promise<number> => {
      for (let step = first; step < first + 10; step += 1) {
        await finish(trainer.step(batchOf(step)))
        await finish(trainer.evaluate([...batchOf(1), ...batchOf(2), ...batchOf(3)]))
      }
      return leastHeld()
    }
    const few = await held(1)
    // Less than one more set of hidden states in ten steps.
    expect((await held(11)) - few).toBeLessThan(4 * BATCH * CONTEXT * 32)
  })
})

describe('a state that was saved', () => {
  test.each([
    ['everything kept', keeping],
    ['states in files', computingAgain(2, { placeOf: () => 'file' })],
  ])('with %s, goes on bit for bit as if nothing had happened', async (_, plan) => {
    const model = await tinyModel()
    const undisturbed = await course(await open(model, { plan }))
    const [before, after] = [await open(model, { plan }), await open(model, { plan })]
    const folder = await tempFolder()
    const first = await takeSteps(before, 2, batchOf)
    await before.save(folder)
    await finish(before.step(batchOf(9)))
    await after.restore(folder)
    expect(after.steps).toBe(2)
    const { reports, tensors } = await course(after)
    expect([...first, ...reports]).toEqual(undisturbed.reports)
    expect(tensors).toEqual(undisturbed.tensors)
  })

  test('can be gone on with where other things are kept', async () => {
    const model = await tinyModel()
    const [kept, again] = [
      await open(model, { plan: keeping }),
      await open(model, { plan: computingAgain(2, { placeOf: () => 'file' }) }),
    ]
    const folder = await tempFolder()
    await takeSteps(kept, 2, batchOf)
    await kept.save(folder)
    await again.restore(folder)
    expectClose(await course(again), await course(kept))
  })

  test('of other layers or parts is refused', async () => {
    const model = await tinyModel()
    const norms = await open(model, { settings: { ...SETTINGS, parts: 'norms' } })
    const folder = await tempFolder()
    await norms.save(folder)
    const trainer = await open(model)
    await expect(trainer.restore(folder)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { expected: '[32, 32]', actual: 'nothing' },
    })
    await expect(trainer.restore(await tempFolder())).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('an abort', () => {
  test.each([
    ['everything kept', keeping],
    ['layers computed again', computingAgain(3)],
  ])('with %s, leaves the state after the last whole step wherever it comes', async (_, plan) => {
    const model = await tinyModel()
    const undisturbed = await course(await open(model, { plan }), 2)
    for (let portion = 1; ; portion += 7) {
      const stop = new AbortController()
      const trainer = await open(model, { plan, signal: stop.signal })
      const [first] = await takeSteps(trainer, 1, batchOf)
      const step = trainer.step(batchOf(2))
      let seen = 0
      const aborted = (async () => {
        for (;;) {
          const next = await step.next()
          if (next.done) return false
          seen += 1
          if (seen === portion) stop.abort(new Error('stopped'))
        }
      })()
      const isAborted = await aborted.catch((error: unknown) => {
        expect(error).toMatchObject({ message: 'stopped' })
        return true
      })
      const folder = await tempFolder()
      await trainer.save(folder)
      const next = await open(model, { plan })
      await next.restore(folder)
      expect(next.steps).toBe(isAborted ? 1 : 2)
      const { reports, tensors } = await course(next, 2)
      expect(tensors).toEqual(undisturbed.tensors)
      if (isAborted) expect([first, ...reports]).toEqual(undisturbed.reports)
      else break
    }
  })
})

test('the lowest layer of all and the topmost one are trained as any other', async () => {
  const model = await tinyModel()
  for (const layer of [0, 4]) {
    const settings = { ...SETTINGS, layers: [layer] }
    const ways = [keeping, computingAgain(2)].map((plan) => open(model, { settings, plan }))
    const [kept, again] = await Promise.all(ways)
    const name = `model.layers.${layer}.self_attn.q_proj.weight`
    const [reports, others] = [
      await takeSteps(kept!, 2, batchOf),
      await takeSteps(again!, 2, batchOf),
    ]
    expectClose(
      { reports: others, tensors: { [name]: await valuesOf(again!, name) } },
      { reports, tensors: { [name]: await valuesOf(kept!, name) } },
    )
  }
})

test('an evaluation is of the weights as they are, and changes nothing', async () => {
  const model = await tinyModel()
  const [trainer, other] = [await open(model), await open(model)]
  const windows = [...batchOf(1), ...batchOf(2)]
  for (let step = 1; step <= 2; step += 1) {
    const { loss, predicted } = await finish(trainer.evaluate(batchOf(step)))
    expect(predicted).toBe(BATCH * (CONTEXT - 1))
    const { loss: stepped } = await finish(trainer.step(batchOf(step)))
    expect(Math.abs(loss / stepped - 1)).toBeLessThan(1e-6)
    await finish(trainer.evaluate(windows))
  }
  const undisturbed = await course(other, 2)
  expect(await weightsOf(trainer)).toEqual(undisturbed.tensors)
})

describe('what cannot be trained is refused', () => {
  test.each([
    [
      'a layer that there is not',
      [1, 5],
      { field: 'train', expected: 'layers 0 to 4', actual: '5' },
    ],
    ['half a layer', [1.5], { field: 'train', actual: '1.5' }],
    ['no layer', [], { field: 'train', actual: 'none' }],
  ])('%s', async (_, layers, context) => {
    const settings = { ...SETTINGS, layers }
    await expect(open(await tinyModel(), { settings })).rejects.toMatchObject({
      code: 'bad_request',
      context,
    })
  })

  test('within too little memory, saying how much it takes', async () => {
    const refused = open(await tinyModel(), { memoryBytes: 1e6 })
    await expect(refused).rejects.toMatchObject({
      code: 'not_enough_memory',
      hint: expect.stringMatching(/\d MB/) as unknown,
      context: { field: 'memory', actual: '1.00 MB' },
    })
  })

  test('a step whose loss is not finite: nothing has changed then', async () => {
    const dir = join(await tempFolder(), 'model')
    const scale = (name: string): number => (name === 'model.norm.weight' ? 3e38 : 1)
    await writeTinyCheckpoint({ dir, layers: 5, attentionBias: true, dtype: 'F32', scale })
    const trainer = await open(dir)
    const before = await weightsOf(trainer)
    await expect(finish(trainer.step(batchOf(1)))).rejects.toMatchObject({
      code: 'numeric_failure',
      context: { stage: 'step 1' },
    })
    expect(trainer.steps).toBe(0)
    expect(await weightsOf(trainer)).toEqual(before)
    await expect(finish(trainer.evaluate(batchOf(1)))).rejects.toMatchObject({
      code: 'numeric_failure',
      context: { stage: 'step 0' },
    })
  })
})
