import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpandResult } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { describe, expect, test } from 'vitest'
import { learnedMethod, runEvaluate, runExpand } from '../support/jobs'
import { DEMO_MODEL, oracle, type OracleRun } from '../support/oracle'
import { evaluateSpec, expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'

const TEXT = join(DEMO_MODEL, 'eval.txt')

async function grow(method: MethodSpec, seed = 0): Promise<ExpandResult> {
  const out = join(await tempFolder(), 'grown')
  return runExpand(expandSpec({ model: DEMO_MODEL, out, method, seed }))
}

async function perplexityOf(model: string): Promise<number> {
  const { results } = await runEvaluate(
    evaluateSpec({ models: [model], text: TEXT, context: oracle.context }),
  )
  expect(results[0]?.tokens).toBe(oracle.tokens)
  return results[0]?.perplexity ?? NaN
}

function expectRelative(actual: number, expected: number, tolerance: number): void {
  expect(Math.abs(actual / expected - 1)).toBeLessThanOrEqual(tolerance)
}

/** A range seen over several seeds, widened by 10 % on both sides. */
function expectWithin(actual: number | undefined, seen: readonly number[]): void {
  expect(actual).toBeGreaterThanOrEqual(Math.min(...seen) * 0.9)
  expect(actual).toBeLessThanOrEqual(Math.max(...seen) * 1.1)
}

describe('perplexity of the demo model and of what is grown from it, against PyTorch', () => {
  test('base', async () => {
    expectRelative(await perplexityOf(DEMO_MODEL), oracle.ppl.base, 1e-4)
  })

  test('LLaMA Pro leaves it as it was', async () => {
    const { out } = await grow({ name: 'llama-pro', groups: 6 })
    expectRelative(await perplexityOf(out), await perplexityOf(DEMO_MODEL), 1e-5)
  })

  test('SOLAR', async () => {
    const { out } = await grow({ name: 'solar', overlap: 3 })
    expectRelative(await perplexityOf(out), oracle.ppl.solar_overlap3, 1e-4)
  })

  test('interpolation', async () => {
    const { out } = await grow({ name: 'interpolation', gaps: [...oracle.gaps] })
    expectRelative(await perplexityOf(out), oracle.ppl.interpolation, 1e-4)
  })

  test('neighbour mean, which the oracle did not round to BF16', async () => {
    const { out } = await grow({ name: 'neighbour-mean', gaps: [...oracle.gaps] })
    expectRelative(await perplexityOf(out), oracle.ppl.neighbour_mean, 1e-3)
  })
})

describe.each(['paper', 'notebook', 'no_svd'] as const)(
  'LESA, %s, against the seeds of PyTorch',
  (name) => {
    test('losses, norm ratios and errors of every weight type; perplexity', async () => {
      const seen: OracleRun = oracle.lesa[name]
      const method =
        name === 'no_svd' ? learnedMethod('paper', { useSvd: false }) : learnedMethod(name)
      const { out, predictors } = await grow({ ...method, gaps: [...oracle.gaps] })
      expect(predictors).toHaveLength(7)
      for (const report of predictors) {
        const expected = seen.types[report.weightType as keyof OracleRun['types']]
        expect(report.lossPerEpoch).toHaveLength(expected.loss_per_epoch[0]?.length ?? 0)
        report.lossPerEpoch.forEach((loss, epoch) => {
          expectWithin(
            loss,
            expected.loss_per_epoch.map((losses) => losses[epoch] ?? NaN),
          )
        })
        expectWithin(report.normRatio, expected.norm_ratio)
        expectWithin(report.mse, expected.mse)
        expectRelative(report.mseOfZero, expected.mse_zero[0] ?? NaN, 1e-4)
        expectRelative(report.mseOfMean, expected.mse_mean[0] ?? NaN, 1e-4)
      }
      const perplexity = await perplexityOf(out)
      expect(perplexity).toBeGreaterThan(Math.min(...seen.ppl) * (1 - 1e-3))
      expect(perplexity).toBeLessThan(Math.max(...seen.ppl) * (1 + 1e-3))
    })
  },
)

describe('the noise control', () => {
  test('has the norms of LESA’s prediction, and none of its content', async () => {
    const [lesa, noise] = await Promise.all([
      grow(learnedMethod('paper')),
      grow({ ...learnedMethod('paper'), name: 'noise' }),
    ])
    const { Checkpoint } = await import('../../src/main/engine/checkpoint/Checkpoint')
    const [a, b] = await Promise.all([Checkpoint.open(lesa.out), Checkpoint.open(noise.out)])
    for (const index of lesa.new_layers) {
      const name = a.layerTensorName(index, 'mlp.up_proj.weight')
      const [predicted, random] = [await a.readFloat32(name), await b.readFloat32(name)]
      const norm = (values: Float32Array): number => Math.hypot(...values)
      expectRelative(norm(random), norm(predicted), 2e-3)
      const dot = predicted.reduce((sum, value, i) => sum + value * (random[i] ?? 0), 0)
      expect(Math.abs(dot) / (norm(predicted) * norm(random))).toBeLessThan(0.05)
      const norms = a.layerTensorName(index, 'input_layernorm.weight')
      expect(await b.readFloat32(norms)).toEqual(await a.readFloat32(norms))
    }
    await Promise.all([a.close(), b.close()])
  })
})

describe('the same command twice', () => {
  test('gives the same bytes; another seed gives others', async () => {
    const method = learnedMethod('paper', { gaps: [5, 7, 7], holdout: [6] })
    const [first, second, other] = [
      await grow(method, 3),
      await grow(method, 3),
      await grow(method, 4),
    ]
    const digest = async (result: ExpandResult, file: string): Promise<string> =>
      createHash('sha256')
        .update(await readFile(join(result.out, file)))
        .digest('hex')
    const files = ['config.json', 'lesa.json', 'README.md', 'lesa/predictor-q_proj.safetensors']
    for (const file of ['model.safetensors', ...files]) {
      expect(await digest(first, file)).toBe(await digest(second, file))
    }
    expect(await digest(other, 'model.safetensors')).not.toBe(
      await digest(first, 'model.safetensors'),
    )
  })
})
