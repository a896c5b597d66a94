import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { planExpansion } from '@shared/plan'
import { holdoutSteps, trainingSteps } from '@shared/predictorSettings'
import type { LearnedMethodSpec } from '@shared/methods'
import { beforeEach, describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { stageBytes } from '../../../../src/main/engine/lesa/disk'
import { storeBytes } from '../../../../src/main/engine/lesa/memory'
import { CoordinateStore } from '../../../../src/main/engine/lesa/decomposition/CoordinateStore'
import {
  decompose,
  type Decomposition,
} from '../../../../src/main/engine/lesa/decomposition/decompose'
import {
  findPredicted,
  predictedFile,
  predictWeightType,
  type PredictedType,
  type StageContext,
} from '../../../../src/main/engine/lesa/learned'
import { PredictorKernel } from '../../../../src/main/engine/lesa/predictor/PredictorKernel'
import { measurePredictor } from '../../../../src/main/engine/lesa/predictor/quality'
import { Samples, targetsIn } from '../../../../src/main/engine/lesa/predictor/Samples'
import { trainPredictor } from '../../../../src/main/engine/lesa/predictor/train'
import { StackedMatrix } from '../../../../src/main/engine/lesa/StackedMatrix'
import { learnedWork } from '../../../../src/main/engine/lesa/work'
import { Random } from '../../../../src/main/engine/lib/random'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { StageStore } from '../../../../src/main/engine/stages/StageStore'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { learnedMethod } from '../../../support/jobs'
import { tempFolder } from '../../../support/tempFolder'

const LAYERS = 5
const METHOD: LearnedMethodSpec = learnedMethod('paper', {
  gaps: [1],
  predictor: {
    ...learnedMethod('paper').predictor,
    hiddenSize: 8,
    batchSize: 10,
    length: { unit: 'epochs', value: 2 },
  },
})

let folder: string
let first: Checkpoint
let second: Checkpoint
beforeEach(async () => {
  folder = await tempFolder()
  const open = async (name: string, scale: (tensor: string) => number): Promise<Checkpoint> => {
    const options = { layers: LAYERS, dtype: 'F32' as const, scale }
    return Checkpoint.open(await writeTinyCheckpoint({ dir: join(folder, name), ...options }))
  }
  first = await open('first', () => 1)
  // Each layer by another factor, so that no coordinates are the first one's.
  second = await open('second', (tensor) => 1 + Number(/\d+/.exec(tensor)?.[0] ?? 0) / 3)
  return async () => {
    await first.close()
    await second.close()
  }
})

const both = (type = 'k_proj'): StackedMatrix => new StackedMatrix(first, type, { also: [second] })

async function decomposed(runtime: Runtime): Promise<Decomposition> {
  return decompose(runtime, both(), {
    energy: 1,
    createStore: (shape) => CoordinateStore.inMemory(shape),
    onProgress: () => undefined,
  })
}

async function contextOf(
  changes: Partial<LearnedMethodSpec> = {},
  others: Partial<StageContext> = {},
): Promise<StageContext> {
  const method = { ...METHOD, ...changes } as LearnedMethodSpec
  return {
    device: 'cpu',
    checkpoint: first,
    fingerprint: await first.fingerprint(),
    plan: planExpansion(method, LAYERS),
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

async function withSecond(changes: Partial<LearnedMethodSpec> = {}): Promise<StageContext> {
  return contextOf(changes, { also: [second], alsoFingerprints: [await second.fingerprint()] })
}

async function predicted(context: StageContext): Promise<PredictedType> {
  const runtime = await Runtime.open('cpu')
  const job = predictWeightType({ ...context, runtime }, 'k_proj')
  try {
    for (;;) {
      const next = await job.next()
      if (next.done) return next.value
    }
  } finally {
    await runtime.dispose()
  }
}

describe('the layers of several checkpoints', () => {
  it('are read one checkpoint after the other, with their names', async () => {
    const matrix = both()
    expect([matrix.layerCount, matrix.chains]).toEqual([2 * LAYERS, 2])
    for (const [index, [checkpoint, layer]] of [
      ...[0, 1, 2, 3, 4].map((layer) => [first, layer] as const),
      ...[0, 1, 2, 3, 4].map((layer) => [second, layer] as const),
    ].entries()) {
      const name = checkpoint.layerTensorName(layer, 'self_attn.k_proj.weight')
      expect(matrix.nameOf(index)).toBe(name)
      expect(await matrix.read(index)).toEqual(await checkpoint.readFloat32(name))
    }
    expect(() => matrix.nameOf(2 * LAYERS)).toThrow('no layer')
  })

  it('are kept as precisely as the most precise of them', async () => {
    const dir = join(folder, 'half')
    await writeTinyCheckpoint({ dir, layers: LAYERS, dtype: 'BF16' })
    const half = await Checkpoint.open(dir)
    const precisionOf = (checkpoint: Checkpoint, also: Checkpoint[]): string =>
      new StackedMatrix(checkpoint, 'k_proj', { also }).precision
    expect(precisionOf(half, [])).toBe('int16')
    expect(precisionOf(half, [second])).toBe('float32')
    await half.close()
  })

  it('say which file holds what is not finite', async () => {
    const info = second.tensors.get('model.layers.2.self_attn.k_proj.weight')
    const file = join(second.path, 'model.safetensors')
    const bytes = await readFile(file)
    bytes.writeFloatLE(NaN, info?.offset ?? NaN)
    await writeFile(file, bytes)
    const damaged = await Checkpoint.open(second.path)
    const matrix = new StackedMatrix(first, 'k_proj', { also: [damaged] })
    await expect(matrix.refuseNonFinite()).rejects.toMatchObject({
      code: 'numeric_failure',
      context: { file: info?.file, tensor: 'model.layers.2.self_attn.k_proj.weight' },
    })
    await damaged.close()
  })

  it('share one basis, of all of them side by side', async () => {
    const runtime = await Runtime.open('cpu')
    const { basis, singularValues, coordinates, rank, rows } = await decomposed(runtime)
    const matrix = both()
    const gram = new Float64Array(rows * rows)
    for (let layer = 0; layer < matrix.layerCount; layer += 1) {
      const w = await matrix.read(layer)
      for (let a = 0; a < rows; a += 1) {
        for (let b = 0; b < rows; b += 1) {
          for (let k = 0; k < matrix.width; k += 1) {
            gram[a * rows + b]! += w[a * matrix.width + k]! * w[b * matrix.width + k]!
          }
        }
      }
    }
    // G uₖ = σₖ² uₖ for every direction.
    const top = singularValues![0]! ** 2
    for (let k = 0; k < rank; k += 1) {
      for (let a = 0; a < rows; a += 1) {
        let product = 0
        for (let b = 0; b < rows; b += 1) product += gram[a * rows + b]! * basis![b * rank + k]!
        expect(Math.abs(product - singularValues![k]! ** 2 * basis![a * rank + k]!)).toBeLessThan(
          1e-5 * top,
        )
      }
    }
    // W = U Σ V for a layer of each.
    const rowsOf = new Float32Array(rank * matrix.width)
    for (const layer of [1, LAYERS + 3]) {
      const w = (await matrix.read(layer)).slice()
      coordinates.copyRows(layer, 0, rank, rowsOf, 0)
      const biggest = w.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      for (let a = 0; a < rows; a += 1) {
        for (let column = 0; column < matrix.width; column += 1) {
          let sum = 0
          for (let k = 0; k < rank; k += 1) {
            sum += basis![a * rank + k]! * singularValues![k]! * rowsOf[k * matrix.width + column]!
          }
          expect(Math.abs(sum - w[a * matrix.width + column]!)).toBeLessThan(1e-4 * biggest)
        }
      }
    }
    await runtime.dispose()
  })
})

describe('the samples of several checkpoints', () => {
  it('are triples within one, never across, and without what is held out in any', () => {
    for (const [layers, checkpoints, keptOut] of [
      [5, 2, []],
      [12, 3, [6]],
      [12, 2, [3, 8]],
    ] as const) {
      const expected: number[] = []
      for (let index = 0; index < layers * checkpoints; index += 1) {
        const triple = [index - 1, index, index + 1]
        const isWithin = triple.every(
          (each) => each >= 0 && Math.floor(each / layers) === Math.floor(index / layers),
        )
        const isSeen = triple.every(
          (each) => !(keptOut as readonly number[]).includes(each % layers),
        )
        if (isWithin && isSeen) expected.push(index)
      }
      expect(targetsIn({ layerCount: layers * checkpoints }, checkpoints, keptOut)).toEqual(
        expected,
      )
    }
  })

  it('have the rows that both neighbours and the layer have in their own checkpoint', async () => {
    const runtime = await Runtime.open('cpu')
    const { basis, singularValues, coordinates, rank, rows } = await decomposed(runtime)
    const samples = new Samples(coordinates, targetsIn(coordinates, 2))
    expect(samples.count).toBe(2 * (LAYERS - 2) * rank)
    const { width } = both()
    // Row k of layer i: σₖ⁻¹ uₖᵀ Wᵢ.
    const row = async (checkpoint: Checkpoint, layer: number, k: number): Promise<number[]> => {
      const w = await checkpoint.readFloat32(
        checkpoint.layerTensorName(layer, 'self_attn.k_proj.weight'),
      )
      return Array.from({ length: width }, (_, column) => {
        let sum = 0
        for (let a = 0; a < rows; a += 1) sum += basis![a * rank + k]! * w[a * width + column]!
        return sum / singularValues![k]!
      })
    }
    const expected = [first, second].flatMap((checkpoint) =>
      [1, 2, 3].flatMap((layer) =>
        Array.from({ length: rank }, (_, k) => ({ checkpoint, layer, k })),
      ),
    )
    for (const at of [0, rank, 3 * rank - 1, 3 * rank, 4 * rank + 2, samples.count - 1]) {
      const place = () => new Float32Array(width)
      const [left, right, target] = [place(), place(), place()]
      samples.fill(Uint32Array.of(at), { left, right, target })
      const { checkpoint, layer, k } = expected[at]!
      for (const [found, from] of [
        [left, layer - 1],
        [target, layer],
        [right, layer + 1],
      ] as const) {
        const wanted = await row(checkpoint, from, k)
        const scale = Math.max(...wanted.map(Math.abs))
        for (const [column, value] of wanted.entries()) {
          expect(Math.abs(found[column]! - value)).toBeLessThan(1e-4 * scale)
        }
      }
    }
    await runtime.dispose()
  })
})

describe('growing with further checkpoints', () => {
  it('is the same byte for byte as ever without any', async () => {
    const plain = await predicted(await contextOf())
    const bytes = await readFile(predictedFile(plain.folder, 2))
    const stages = new StageStore(join(folder, 'others'), true)
    const none = await predicted(await contextOf({}, { stages, also: [], alsoFingerprints: [] }))
    expect(await readFile(predictedFile(none.folder, 2))).toEqual(bytes)
    expect(none.folder.split('/').at(-1)).toBe(plain.folder.split('/').at(-1))
  })

  it('learns from twice as many samples and predicts something else', async () => {
    const plain = await predicted(await contextOf())
    const found = await predicted(await withSecond())
    expect(found.report.samples).toBe(2 * plain.report.samples)
    expect(found.report.steps).toBe(trainingSteps(METHOD, both()))
    expect(found.report.steps).toBe(20)
    const [one, other] = [plain, found].map((each) => predictedFile(each.folder, 2))
    expect(await readFile(other!)).not.toEqual(await readFile(one!))
  })

  it('takes no result that was computed from other checkpoints', async () => {
    await predicted(await contextOf())
    expect(await findPredicted(await withSecond(), 'k_proj')).toBeNull()
    await predicted(await withSecond())
    expect(await findPredicted(await withSecond(), 'k_proj')).not.toBeNull()
    const another = await contextOf({}, { also: [second], alsoFingerprints: ['0'] })
    expect(await findPredicted(another, 'k_proj')).toBeNull()
  })

  it('predicts held-out layers of the first, having seen them in none', async () => {
    const { report } = await predicted(await withSecond({ holdout: [1] }))
    expect(report.holdout?.layers.map(({ layer }) => layer)).toEqual([1])
    expect(holdoutSteps({ ...METHOD, holdout: [1] }, both())).toBe(2 * Math.ceil((2 * 16) / 10))
    const runtime = await Runtime.open('cpu')
    const { coordinates } = await decomposed(runtime)
    const training = trainPredictor(
      runtime,
      // Layer 3 between 2 and 4, of either.
      new Samples(coordinates, [3, LAYERS + 3]),
      METHOD.predictor,
      { initial: new Random(0, 'k_proj', 'initial'), shuffle: new Random(0, 'k_proj', 'shuffle') },
    )
    let next = await training.next()
    while (!next.done) next = await training.next()
    const kernel = await PredictorKernel.create(runtime, next.value.shape, next.value.weights)
    const expected = await measurePredictor(kernel, new Samples(coordinates, [1]))
    expect(report.holdout?.mse).toBeCloseTo(expected.mse, 6)
    expect(report.holdout?.cosine).toBeCloseTo(expected.cosine, 5)
    await kernel.dispose()
    await runtime.dispose()
  })

  it('counts work, memory and disk of all of them', () => {
    const alone = new StackedMatrix(first, 'k_proj')
    expect(storeBytes(both())).toBe(2 * storeBytes(alone))
    const work = [alone, both()].map((source) => learnedWork(source, METHOD, 1))
    expect(work[1]!.decompose.products).toBeCloseTo(2 * (work[0]!.decompose.products ?? NaN))
    expect(work[1]!.decompose.converted).toBe(2 * (work[0]!.decompose.converted ?? NaN))
    expect(work[1]!.train.training?.steps).toBe(20)
    expect(work[1]!.predict).toEqual(work[0]!.predict)
    const disk = (also: Checkpoint[]) =>
      stageBytes(first, {
        types: ['k_proj'],
        plan: planExpansion(METHOD, LAYERS),
        dtype: 'keep',
        keeps: true,
        bound: undefined,
        also,
      })
    expect(disk([second]).matrices).toBe(disk([]).matrices)
    expect(disk([second]).decompositions - disk([]).decompositions).toBe(storeBytes(alone))
  })
})
