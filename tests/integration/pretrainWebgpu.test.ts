import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Runtime } from '../../src/main/engine/onnx/Runtime'
import type { LayerTrainer } from '../../src/main/engine/pretraining/LayerTrainer'
import type { TrainingPlan } from '../../src/main/engine/pretraining/memory'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { computingAgain, finish, keeping, openTrainer, takeSteps } from '../support/layerTraining'
import { PRETRAIN_CASES } from '../support/pretrainCases'
import { seededFloats } from '../support/random'
import { tempFolder } from '../support/tempFolder'
import { useSoftwareVulkan } from '../support/webgpu'

const webgpu = useSoftwareVulkan()

const LAYERS = [1, 2]
const CONTEXT = 12

describe.skipIf(!webgpu)('training layers on the software adapter', () => {
  let gpu: Runtime
  let cpu: Runtime
  beforeAll(async () => {
    gpu = await Runtime.open('webgpu')
    cpu = await Runtime.open('cpu')
  })
  afterAll(async () => {
    await gpu.dispose()
    await cpu.dispose()
  })

  const batchOf = (step: number): Int32Array[] =>
    Array.from({ length: 3 }, (_, row) =>
      Int32Array.from(seededFloats(CONTEXT, 10 * step + row, [0, 64]), Math.floor),
    )

  const onDevice = (plan: TrainingPlan): TrainingPlan => {
    expect(plan.placeOf(LAYERS[0]!)).toBe('device')
    return plan
  }

  // Layers on the device, one of them in the host's memory or in a file, as a small device has it.
  test.each<[string, (plan: TrainingPlan) => TrainingPlan]>([
    ['all results kept', (plan) => keeping(onDevice(plan))],
    ['layers computed again, in tiles', (plan) => computingAgain(2)(onDevice(plan))],
    [
      'states where there is room',
      computingAgain(2, { placeOf: (layer) => (layer === 1 ? 'device' : 'memory') }),
    ],
    ['states in files', computingAgain(3, { placeOf: () => 'file' })],
  ])('%s: as on the CPU', { timeout: 240_000 }, async (_, plan) => {
    const dir = join(await tempFolder(), 'model')
    const model = await writeTinyCheckpoint({ dir, layers: 4, attentionBias: true, seed: 8 })
    const settings = { ...PRETRAIN_CASES['llama']!, schedule: () => 1, layers: LAYERS }
    const options = { settings, context: CONTEXT, batch: 3 }
    const trainers = [
      await openTrainer(gpu, model, { ...options, plan }),
      await openTrainer(cpu, model, options),
    ] as const
    const [there, here] = [
      await takeSteps(trainers[0], 3, batchOf),
      await takeSteps(trainers[1], 3, batchOf),
    ]
    there.forEach(({ loss, gradientNorm }, index) => {
      expect(loss).toBeCloseTo(here[index]!.loss, 5)
      expect(gradientNorm).toBeCloseTo(here[index]!.gradientNorm, 5)
    })
    await expectEqual(trainers)

    // What was kept of it goes on from there.
    const kept = join(await tempFolder(), 'kept')
    await mkdir(kept)
    await trainers[0].save(kept)
    await takeSteps(trainers[0], 4, batchOf)
    await trainers[0].restore(kept)
    expect(trainers[0].steps).toBe(3)
    await expectEqual(trainers)
  })

  async function expectEqual([there, here]: readonly [LayerTrainer, LayerTrainer]): Promise<void> {
    const [own, other] = [
      await finish(there.evaluate(batchOf(9))),
      await finish(here.evaluate(batchOf(9))),
    ]
    expect(own.loss).toBeCloseTo(other.loss, 5)
    expect(own.predicted).toBe(other.predicted)
    for (const layer of LAYERS) {
      for (const suffix of ['self_attn.q_proj.weight', 'mlp.down_proj.weight']) {
        const name = `model.layers.${layer}.${suffix}`
        const [values, expected] = [await there.values(name), await here.values(name)]
        const apart = Math.hypot(...values!.map((value, place) => value - expected![place]!))
        expect(apart / Math.hypot(...expected!), name).toBeLessThan(1e-4)
      }
    }
  }
})
