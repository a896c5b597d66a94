import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LearnedMethodSpec } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import { holdoutSteps, PRESET_SETTINGS, trainingSteps } from '@shared/predictorSettings'
import { beforeEach, describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  findPredicted,
  learnedSteps,
  predictedFile,
  predictWeightType,
  type PredictedType,
  type StageContext,
} from '../../../../src/main/engine/lesa/learned'
import { CoordinateStore } from '../../../../src/main/engine/lesa/decomposition/CoordinateStore'
import { decompose } from '../../../../src/main/engine/lesa/decomposition/decompose'
import { PredictorKernel } from '../../../../src/main/engine/lesa/predictor/PredictorKernel'
import { measurePredictor } from '../../../../src/main/engine/lesa/predictor/quality'
import { Samples } from '../../../../src/main/engine/lesa/predictor/Samples'
import { trainPredictor } from '../../../../src/main/engine/lesa/predictor/train'
import { computedLayers } from '../../../../src/main/engine/lesa/series'
import { Random } from '../../../../src/main/engine/lib/random'
import { StackedMatrix } from '../../../../src/main/engine/lesa/StackedMatrix'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { StageStore } from '../../../../src/main/engine/stages/StageStore'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

const METHOD: LearnedMethodSpec = {
  name: 'lesa',
  gaps: [1, 1],
  useSvd: true,
  energy: 1,
  predictor: {
    ...PRESET_SETTINGS.paper,
    hiddenSize: 8,
    batchSize: 10,
    length: { unit: 'epochs', value: 2 },
  },
}

let folder: string
let checkpoint: Checkpoint
beforeEach(async () => {
  folder = await tempFolder()
  const dir = await writeTinyCheckpoint({ dir: join(folder, 'base'), layers: 5 })
  checkpoint = await Checkpoint.open(dir)
  return () => checkpoint.close()
})

async function contextOf(
  changes: Partial<LearnedMethodSpec> = {},
  others: Partial<StageContext> = {},
): Promise<StageContext> {
  const method = { ...METHOD, ...changes }
  return {
    device: 'cpu',
    checkpoint,
    fingerprint: await checkpoint.fingerprint(),
    plan: planExpansion(method, 5),
    method,
    dtype: 'keep',
    seed: 0,
    signal: new AbortController().signal,
    stages: new StageStore(join(folder, 'stages'), true),
    allowOverflow: false,
    finish: (predict) => predict,
    memoryBytes: undefined,
    deviceMemoryBytes: undefined,
    ...others,
  }
}

/** The k_proj of the context's model, and the ids of the steps that were reported. */
async function predicted(context: StageContext): Promise<PredictedType & { steps: string[] }> {
  const runtime = await Runtime.open('cpu')
  const steps = new Set<string>()
  const job = predictWeightType({ ...context, runtime }, 'k_proj')
  try {
    for (;;) {
      const next = await job.next()
      if (next.done) return { ...next.value, steps: [...steps] }
      if (next.value.type === 'step') steps.add(next.value.id)
    }
  } finally {
    await runtime.dispose()
  }
}

describe('the stages of a weight type', () => {
  it('leave a matrix for each new layer, the predictor and a report', async () => {
    const context = await contextOf()
    const found = await predicted(context)
    expect(found.steps).toEqual(['k_proj/decompose', 'k_proj/train', 'k_proj/predict'])
    expect((await readdir(found.folder)).sort()).toEqual([
      '2.bin',
      '3.bin',
      'course.json',
      'directions.f32',
      'predictor.safetensors',
      'report.json',
      'spectrum.f32',
      'stage.json',
    ])
    // BF16 of 16 rows and 32 columns.
    expect((await readFile(predictedFile(found.folder, 2))).byteLength).toBe(2 * 16 * 32)
    expect(found.report).toMatchObject({ weightType: 'k_proj', rank: 16, samples: 3 * 16 })
  })

  it('train for as many mini-batches as are counted beforehand', async () => {
    const source = new StackedMatrix(checkpoint, 'k_proj')
    for (const changes of [{}, { holdout: [1] }, { useSvd: false }]) {
      const { report } = await predicted(await contextOf(changes))
      expect(report.steps).toBe(trainingSteps({ ...METHOD, ...changes }, source))
    }
    // 48 samples in batches of 10, twice. Without layer 1 as target or neighbour 16, of layer 3.
    expect(trainingSteps(METHOD, source)).toBe(10)
    expect(holdoutSteps({ ...METHOD, holdout: [1] }, source)).toBe(4)
  })

  it('predict held-out layers with predictors of their own, and new layers as without', async () => {
    const plain = await predicted(await contextOf())
    const held = await predicted(await contextOf({ holdout: [1, 3] }))
    expect(plain.report).not.toHaveProperty('holdout')
    const { holdout, ...report } = held.report
    expect(report).toEqual(plain.report)
    for (const layer of [2, 3]) {
      const [one, other] = [plain, held].map(({ folder: from }) => predictedFile(from, layer))
      expect(await readFile(other ?? '')).toEqual(await readFile(one ?? ''))
    }
    // Layer 1 by what layer 3's rows between 2 and 4 teach, and the other way round.
    const runtime = await Runtime.open('cpu')
    const source = new StackedMatrix(checkpoint, 'k_proj')
    const { coordinates } = await decompose(runtime, source, {
      energy: 1,
      createStore: (shape) => CoordinateStore.inMemory(shape),
      onProgress: () => undefined,
    })
    for (const [layer, seen] of [
      [1, 3],
      [3, 1],
    ] as const) {
      const training = trainPredictor(runtime, new Samples(coordinates, [seen]), METHOD.predictor, {
        initial: new Random(0, 'k_proj', 'initial'),
        shuffle: new Random(0, 'k_proj', 'shuffle'),
      })
      let next = await training.next()
      while (!next.done) next = await training.next()
      const kernel = await PredictorKernel.create(runtime, next.value.shape, next.value.weights)
      const expected = await measurePredictor(kernel, new Samples(coordinates, [layer]))
      const found = holdout?.layers.find((each) => each.layer === layer)
      for (const key of ['mse', 'mseOfZero', 'mseOfMean', 'normRatio', 'cosine'] as const) {
        expect(found?.[key], key).toBeCloseTo(expected[key], 6)
      }
      await kernel.dispose()
    }
    await runtime.dispose()
    expect(holdout?.mse).toBeCloseTo(
      holdout!.layers.reduce((sum, { mse }) => sum + mse / 2, 0),
      12,
    )
  })

  it('are taken from the folder when all they depend on is the same', async () => {
    const first = await predicted(await contextOf())
    expect(await findPredicted(await contextOf(), 'k_proj')).toMatchObject({
      folder: first.folder,
      report: first.report,
    })
    expect(await findPredicted(await contextOf(), 'q_proj')).toBeNull()
    for (const other of [
      await contextOf({ gaps: [1] }),
      await contextOf({ name: 'noise' }),
      await contextOf({ energy: 0.9 }),
      await contextOf({}, { seed: 1 }),
      await contextOf({}, { dtype: 'f32' }),
      await contextOf({}, { device: 'webgpu' }),
    ]) {
      expect(await findPredicted(other, 'k_proj')).toBeNull()
    }
  })

  it('are refused where the element type cannot hold them, before they are kept', async () => {
    const finish: StageContext['finish'] = (predict) => async (type, layer) =>
      (await predict(type, layer)).fill(1e5)
    const refused = await contextOf({}, { dtype: 'f16', finish })
    await expect(predicted(refused)).rejects.toMatchObject({
      code: 'bad_request',
      context: { tensor: 'k_proj of new layer 2' },
    })
    expect(await findPredicted(refused, 'k_proj')).toBeNull()
    const allowed = await contextOf({}, { dtype: 'f16', finish, allowOverflow: true })
    await predicted(allowed)
    expect(await findPredicted(allowed, 'k_proj')).not.toBeNull()
    expect(await findPredicted(refused, 'k_proj')).toBeNull()
  })

  it('keep what the method makes of a prediction', async () => {
    const [plain, halved] = [
      await predicted(await contextOf({}, { dtype: 'f32' })),
      await predicted(
        await contextOf(
          { name: 'noise' },
          {
            dtype: 'f32',
            finish: (predict) => async (type, layer) =>
              (await predict(type, layer)).map((value) => value / 2),
          },
        ),
      ),
    ]
    const read = async (found: PredictedType): Promise<Float32Array> => {
      const bytes = await readFile(predictedFile(found.folder, 3))
      return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    }
    expect(await read(halved)).toEqual((await read(plain)).map((value) => value / 2))
  })
})

describe('the steps of the learned methods', () => {
  it('come before each other as their neighbours do', () => {
    const plan = planExpansion({ ...METHOD, gaps: [1, 1, 1] }, 5)
    expect(computedLayers(plan).map(({ index }) => index)).toEqual([3, 2, 4])
  })

  it('weigh training by its mini-batches', () => {
    const weight = (method: LearnedMethodSpec): number =>
      learnedSteps(checkpoint, planExpansion(method, 5), method).find(
        ({ id }) => id === 'k_proj/train',
      )?.weight ?? NaN
    const source = new StackedMatrix(checkpoint, 'k_proj')
    const held = { ...METHOD, holdout: [1, 3] }
    expect(weight(held) / weight(METHOD)).toBeCloseTo(
      1 + holdoutSteps(held, source) / trainingSteps(METHOD, source),
    )
  })
})
