import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import {
  computingAgain,
  keeping,
  openTrainer,
  takeSteps,
  valuesOf,
} from '../../../support/layerTraining'
import {
  batchOf,
  PRETRAIN_CASES,
  pretrainCase,
  pretrainReference,
  scheduleOf,
  STEPS,
  writePretrainCase,
} from '../../../support/pretrainCases'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

describe.each(Object.keys(PRETRAIN_CASES))('%s, beside PyTorch', (name) => {
  const { checkpoint: _, context, batch, ...settings } = pretrainCase(name)
  const reference = pretrainReference(name)

  test.each([
    ['with everything kept', keeping],
    ['with layers computed again', computingAgain(3)],
  ])(
    '%s, has the same losses and gradients, and arrives at the same weights',
    async (_way, plan) => {
      const model = await writePretrainCase(join(await tempFolder(), 'model'), name)
      const schedule = scheduleOf(pretrainCase(name))
      const trainer = await openTrainer(runtime, model, {
        settings: { ...settings, schedule },
        context,
        batch,
        plan,
      })
      const reports = await takeSteps(trainer, STEPS, (step) => batchOf(name, step))

      expect(reports.map(({ step }) => step)).toEqual(reference.losses.map((_, index) => index + 1))
      const apart = (actual: number, expected = NaN): number => Math.abs(actual / expected - 1)
      const losses = reports.map(({ loss }, index) => apart(loss, reference.losses[index]))
      expect(Math.max(...losses)).toBeLessThan(1e-5)
      const norms = reports.map(({ gradientNorm }, index) =>
        apart(gradientNorm, reference.gradientNorms[index]),
      )
      expect(Math.max(...norms)).toBeLessThan(1e-4)

      const start = await Checkpoint.open(model)
      for (const [tensor, { change, values }] of Object.entries(reference.tensors)) {
        const [before, after] = [await start.readFloat32(tensor), await valuesOf(trainer, tensor)]
        const moved = Math.hypot(...after.map((value, index) => value - (before[index] ?? NaN)))
        expect(apart(moved, change), tensor).toBeLessThan(1e-4)
        const every = Math.max(1, Math.floor(after.length / values.length))
        values.forEach((value, index) => {
          expect(after[index * every], `${tensor}, sample ${index}`).toBeCloseTo(value, 5)
        })
      }
      await start.close()
      const frozen = [...start.tensors.keys()].filter((tensor) => !(tensor in reference.tensors))
      for (const tensor of frozen) expect(await trainer.values(tensor), tensor).toBeNull()
    },
  )
})
