/** @file Trainings of single layers, on real kernels. */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import type { Runtime } from '../../src/main/engine/onnx/Runtime'
import {
  LayerTrainer,
  type LayerTrainerOptions,
} from '../../src/main/engine/pretraining/LayerTrainer'
import type { TrainingPlan } from '../../src/main/engine/pretraining/memory'
import type { StepReport } from '../../src/main/engine/pretraining/settings'
import { tempFolder } from './tempFolder'

/** A trainer of a checkpoint's layers that ends with the running test. */
export async function openTrainer(
  runtime: Runtime,
  model: string,
  options: Omit<LayerTrainerOptions, 'scratch' | 'signal'> & Partial<LayerTrainerOptions>,
): Promise<LayerTrainer> {
  const scratch = join(await tempFolder(), 'scratch')
  const checkpoint = await Checkpoint.open(model)
  onTestFinished(() => checkpoint.close())
  const { signal } = new AbortController()
  const trainer = await LayerTrainer.open(checkpoint, runtime, { scratch, signal, ...options })
  onTestFinished(() => trainer.dispose())
  return trainer
}

/** Takes the steps from the trainer's next one to `last`. */
export async function takeSteps(
  trainer: LayerTrainer,
  last: number,
  batchOf: (step: number) => readonly Int32Array[],
): Promise<StepReport[]> {
  const reports: StepReport[] = []
  while (trainer.steps < last) reports.push(await finish(trainer.step(batchOf(trainer.steps + 1))))
  return reports
}

/** What work that tells its progress comes to. */
export async function finish<T>(work: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const next = await work.next()
    if (next.done) return next.value
  }
}

/** A trained tensor as it is now. */
export async function valuesOf(trainer: LayerTrainer, tensor: string): Promise<Float32Array> {
  const values = await trainer.values(tensor)
  if (values) return values.slice()
  throw new Error(`${tensor} is not trained.`)
}

type Plan = (plan: TrainingPlan) => TrainingPlan

/** Everything from the lowest trained layer on is kept for the backward pass, as a small model's plan has it. */
export const keeping: Plan = (plan) => {
  if (plan.mode === 'keep') return plan
  throw new Error('The plan does not keep everything.')
}

/** As under a tight bound: layers are computed again, some windows at a time, and the vocabulary is in tiles. */
export function computingAgain(microBatch: number, changes: Partial<TrainingPlan> = {}): Plan {
  return (plan) => ({
    ...plan,
    mode: 'recompute',
    microBatch,
    vocabularyTile: 25,
    headRows: 50,
    pinsVocabulary: false,
    pinnedLayers: [],
    ...changes,
  })
}
