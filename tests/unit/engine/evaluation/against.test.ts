import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pairedDifference } from '@shared/difference'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { ForwardPass, type ForwardLimits } from '../../../../src/main/engine/decoder/ForwardPass'
import {
  scoreAgainst,
  type AgainstProgress,
  type ModelScores,
} from '../../../../src/main/engine/evaluation/against'
import { logitsOf } from '../../../../src/main/engine/evaluation/scoring'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../../../support/checkpoints'
import { DEMO_MODEL } from '../../../support/oracle'
import { tempFolder } from '../../../support/tempFolder'
import { otherTheta, pairReference, windowsOf } from '../../../support/verdictPair'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

async function open(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

async function tiny(options: Omit<TinyCheckpointOptions, 'dir'>): Promise<string> {
  return writeTinyCheckpoint({ ...options, dir: join(await tempFolder(), 'model') })
}

async function score(
  folders: readonly [string, ...string[]],
  sequences: readonly Int32Array[],
  limits: Partial<ForwardLimits> = {},
  onProgress: (progress: AgainstProgress) => void = () => undefined,
): Promise<readonly ModelScores[]> {
  const [base, ...models] = folders
  const checkpoints = [await open(base), ...(await Promise.all(models.map(open)))] as const
  const { signal } = new AbortController()
  const run = scoreAgainst(checkpoints, sequences, { runtime, signal, limits })
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value
    onProgress(next.value)
  }
}

const nll = ({ scores }: ModelScores): number[] =>
  scores.map(({ losses }) => losses.reduce((sum, loss) => sum + loss, 0))
const tokens = ({ scores }: ModelScores): number[] => scores.map(({ losses }) => losses.length)

describe('the demo model beside itself with other positions agrees with PyTorch', () => {
  test('in losses, KL, agreement, and the difference with its interval', async () => {
    const [base, model] = await score([DEMO_MODEL, await otherTheta()], windowsOf(pairReference))
    if (!base || !model) throw new Error('no scores')
    const { base_nll, model_nll, kl, agreed, per_token, difference } = pairReference
    const count = pairReference.length - 1
    const expectNear = (found: ArrayLike<number>, expected: readonly number[]): void => {
      expect(found).toHaveLength(expected.length)
      // Nats per token.
      expected.forEach((value, window) => {
        expect(Math.abs((found[window] ?? NaN) - value) / count).toBeLessThan(2e-6)
      })
    }
    expectNear(nll(base), base_nll)
    expectNear(nll(model), model_nll)
    expectNear(model.kl, kl)
    expect([...model.agreed]).toEqual(agreed)
    const all = count * kl.length
    expect(model.kl.reduce((sum, value) => sum + value, 0) / all).toBeCloseTo(per_token.kl, 5)
    const found = pairedDifference(
      { windowNll: nll(model), windowTokens: tokens(model) },
      { windowNll: nll(base), windowTokens: tokens(base) },
    )
    expect(found?.outcome).toBe('higher')
    for (const end of ['mean', 'low', 'high'] as const) {
      expect(Math.abs((found?.[end] ?? NaN) - difference[end])).toBeLessThan(1e-5)
    }
  })
})

const sequences = [9, 40, 3, 40, 17].map((length, sequence) =>
  Int32Array.from({ length }, (_, index) => (index * 7 + sequence * 13) % 64),
)

describe('two models of other widths, depths and kinds', () => {
  const folders = async (): Promise<[string, string]> => [
    await tiny({ architecture: 'qwen2', tieWordEmbeddings: true, seed: 3 }),
    await tiny({ architecture: 'llama', hidden: 48, layers: 3, seed: 4 }),
  ]

  test('are as far apart as all their logits say', async () => {
    const [base, other] = await folders()
    const [, model] = await score([base, other], sequences)
    const { signal } = new AbortController()
    const passes = [await open(base), await open(other)].map(
      (checkpoint) => new ForwardPass(checkpoint, runtime, signal),
    )
    for (const [index, ids] of sequences.entries()) {
      let expected = 0
      let agreed = 0
      const [p, q] = await Promise.all(passes.map((pass) => logitsOf(pass, ids)))
      for (let row = 0; row < ids.length - 1; row += 1) {
        const [a, b] = [logProbabilities(p, row), logProbabilities(q, row)]
        expected += a.reduce((sum, l, k) => sum + Math.exp(l) * (l - (b[k] ?? NaN)), 0)
        if (a.indexOf(Math.max(...a)) === b.indexOf(Math.max(...b))) agreed += 1
      }
      expect(model?.kl[index]).toBeCloseTo(expected, 4)
      expect(model?.agreed[index]).toBe(agreed)
    }
    for (const pass of passes) await pass.dispose()
  })

  function logProbabilities(logits: Float32Array | undefined, row: number): number[] {
    const own = [...(logits ?? []).slice(row * 64, (row + 1) * 64)]
    const max = Math.max(...own)
    const sum = own.reduce((total, value) => total + Math.exp(value - max), 0)
    return own.map((value) => value - max - Math.log(sum))
  }

  test.each<[string, Partial<ForwardLimits>]>([
    ['the vocabulary in parts', { matrixElements: 2 * 48 * 10 }],
    ['one sequence at a time', { batchPositions: 1 }],
    ['a pass over the weights for each batch', { batchPositions: 40, hiddenBytes: 1 }],
    ['few logits at a time', { logits: 1 }],
  ])('memory limits change nothing but memory: %s', async (_, limits) => {
    const [base, other] = await folders()
    const expected = await score([base, other, base], sequences)
    const actual = await score([base, other, base], sequences, limits)
    expect(expected).toHaveLength(3)
    actual.forEach((each, index) => {
      const like = expected[index]
      nll(each).forEach((value, at) =>
        expect(value).toBeCloseTo(like ? (nll(like)[at] ?? NaN) : NaN, 4),
      )
      each.kl.forEach((value, at) => expect(value).toBeCloseTo(like?.kl[at] ?? NaN, 4))
      expect(each.agreed).toEqual(like?.agreed)
    })
  })
})

test('a model beside itself is the same: KL 0, every top token', async () => {
  const folder = await tiny({ seed: 5 })
  const all = await score([folder, folder], sequences, { matrixElements: 2 * 32 * 10 })
  const [base, model] = all
  if (!base || !model) throw new Error('no scores')
  for (const value of model.kl) expect(Math.abs(value)).toBeLessThan(1e-12)
  expect([...model.agreed]).toEqual(tokens(model))
  expect([...base.agreed]).toEqual(tokens(base))
  nll(model).forEach((value, index) => expect(value).toBeCloseTo(nll(base)[index] ?? NaN, 5))
})

test('progress counts up to totals that it names from the start, for each model', async () => {
  const folders = [await tiny({ layers: 2 }), await tiny({ layers: 3 })] as const
  const seen: AgainstProgress[] = []
  await score(folders, sequences, { batchPositions: 40, hiddenBytes: 1 }, (each) => seen.push(each))
  for (const which of [0, 1]) {
    for (const stage of ['layers', 'head'] as const) {
      const steps = seen.filter((each) => each.stage === stage && each.which === which)
      const total = steps[0]?.total ?? NaN
      expect(total).toBeGreaterThan(3)
      expect(steps.map(({ done }) => done)).toEqual(Array.from({ length: total }, (_, i) => i + 1))
    }
  }
})

test('a model whose values are not finite is named', async () => {
  const [base, wild] = [await tiny({}), await tiny({ dtype: 'F32' })]
  const file = join(wild, 'model.safetensors')
  const bytes = await readFile(file)
  const length = Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >
  const [offset = NaN] = header['model.layers.2.mlp.down_proj.weight']?.data_offsets ?? []
  bytes.writeFloatLE(NaN, 8 + length + offset)
  await writeFile(file, bytes)
  await expect(score([base, wild], sequences)).rejects.toThrow(
    expect.objectContaining({
      code: 'numeric_failure',
      context: expect.objectContaining({ file: wild, stage: 'layer 2' }) as unknown,
    }),
  )
})
