import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HostProjector } from '../../../../../src/main/engine/lesa/decomposition/symmetricEigen'
import {
  tridiagonalEigenvalues,
  tridiagonalEigenvectors,
} from '../../../../../src/main/engine/lesa/decomposition/tridiagonalEigen'
import { Runtime } from '../../../../../src/main/engine/onnx/Runtime'
import { seededFloats } from '../../../../support/random'

let runtime: Runtime
let projector: HostProjector
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
  projector = new HostProjector(runtime)
})
afterAll(() => runtime.dispose())

interface Tridiagonal {
  readonly d: Float64Array
  readonly e: Float64Array
}

/** Largest |T·Z − Z·Λ|, and largest |ZᵀZ − I|. */
async function residuals({
  d,
  e,
}: Tridiagonal): Promise<{ residual: number; orthogonality: number }> {
  const n = d.length
  const values = tridiagonalEigenvalues(d, e)
  const z = await tridiagonalEigenvectors(d, e, values, (x, q) => projector.project(x, q, n))
  let residual = 0
  let orthogonality = 0
  for (let k = 0; k < n; k += 1) {
    for (let i = 0; i < n; i += 1) {
      const above = i > 0 ? (e[i - 1] ?? 0) * (z[(i - 1) * n + k] ?? 0) : 0
      const below = i < n - 1 ? (e[i] ?? 0) * (z[(i + 1) * n + k] ?? 0) : 0
      const tz = above + (d[i] ?? 0) * (z[i * n + k] ?? 0) + below
      residual = Math.max(residual, Math.abs(tz - (values[k] ?? 0) * (z[i * n + k] ?? 0)))
    }
    for (let other = 0; other <= k; other += 1) {
      let dot = 0
      for (let i = 0; i < n; i += 1) dot += (z[i * n + k] ?? 0) * (z[i * n + other] ?? 0)
      orthogonality = Math.max(orthogonality, Math.abs(dot - (other === k ? 1 : 0)))
    }
  }
  return { residual, orthogonality }
}

const from = (d: ArrayLike<number>, e: ArrayLike<number>): Tridiagonal => ({
  d: Float64Array.from(d),
  e: Float64Array.from(e),
})

describe('the tridiagonal eigenproblem', () => {
  test('agrees with the known eigenvalues 2 − 2·cos(kπ/(n+1)) of the second difference', () => {
    const n = 50
    const values = tridiagonalEigenvalues(
      new Float64Array(n).fill(2),
      new Float64Array(n - 1).fill(-1),
    )
    values.forEach((value, k) => {
      expect(value).toBeCloseTo(2 - 2 * Math.cos(((n - k) * Math.PI) / (n + 1)), 12)
    })
  })

  test.each<[string, Tridiagonal]>([
    ['one entry', from([3], [])],
    ['two entries', from([1, 1], [0.5])],
    ['random entries', from(seededFloats(200, 1), seededFloats(199, 2))],
    [
      'the identity: one eigenvalue, n times',
      from(new Float64Array(40).fill(1), new Float64Array(39)),
    ],
    ['zeros', from(new Float64Array(20), new Float64Array(19))],
    [
      'blocks that repeat, so that every eigenvalue does',
      from(
        Array.from({ length: 60 }, (_, i) => i % 3),
        Array.from({ length: 59 }, (_, i) => (i % 3 === 2 ? 0 : 0.5)),
      ),
    ],
    [
      'Wilkinson’s matrix, whose eigenvalues come in pairs that agree to 14 digits',
      from(
        Array.from({ length: 21 }, (_, i) => Math.abs(i - 10)),
        new Float64Array(20).fill(1),
      ),
    ],
    [
      'half of the eigenvalues zero',
      from(
        Array.from({ length: 80 }, (_, i) => (i < 40 ? i + 1 : 0)),
        Array.from({ length: 79 }, (_, i) => (i < 39 ? 0.1 : 0)),
      ),
    ],
    [
      'sizes over twelve orders',
      from(
        Array.from({ length: 30 }, (_, i) => 10 ** (-i * 0.4)),
        Array.from({ length: 29 }, (_, i) => 10 ** (-i * 0.4) / 10),
      ),
    ],
    [
      'more equal eigenvalues than a block of a cluster takes',
      from(
        Array.from({ length: 300 }, (_, i) => (i < 100 ? i + 1 : 2)),
        Array.from({ length: 299 }, (_, i) => (i < 99 ? 0.1 : 0)),
      ),
    ],
    [
      'a null space of 220 dimensions, with noise',
      from(
        Array.from({ length: 320 }, (_, i) => (i < 100 ? 1 + i / 50 : 1e-10 * Math.sin(i * i))),
        Array.from({ length: 319 }, (_, i) => (i < 100 ? 0.01 : 1e-10 * Math.cos(3 * i * i))),
      ),
    ],
  ])('%s: residual and orthogonality at float32 level', async (_, matrix) => {
    const scale = matrix.d.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
    const { residual, orthogonality } = await residuals(matrix)
    expect(residual).toBeLessThan(2e-7 * scale)
    expect(orthogonality).toBeLessThan(5e-7)
  })

  test('refuses what is not finite', () => {
    expect(() => tridiagonalEigenvalues(Float64Array.of(1, NaN), Float64Array.of(1))).toThrow(
      expect.objectContaining({ code: 'numeric_failure' }),
    )
  })
})
