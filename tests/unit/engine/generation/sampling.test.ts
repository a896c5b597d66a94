import { describe, expect, test } from 'vitest'
import { NextTokens } from '../../../../src/main/engine/generation/NextTokens'
import { chooseToken, largest, likeliest } from '../../../../src/main/engine/generation/sampling'
import { Random } from '../../../../src/main/engine/lib/random'

/** Of the probabilities 0.1, 0.4, 0.2, 0.3. */
const LOGITS = Float32Array.from([0.1, 0.4, 0.2, 0.3], Math.log)

/** How often each token is drawn. */
function shares(sampling: Parameters<typeof chooseToken>[1], draws = 20_000): number[] {
  const random = new Random(7)
  const counts = [0, 0, 0, 0]
  for (let draw = 0; draw < draws; draw += 1) {
    const id = chooseToken(LOGITS, sampling, random)
    counts[id] = (counts[id] ?? 0) + 1
  }
  return counts.map((count) => count / draws)
}

function expectShares(found: readonly number[], expected: readonly number[]): void {
  // Three standard errors of a share from 20,000 draws.
  found.forEach((share, id) => expect(Math.abs(share - (expected[id] ?? NaN))).toBeLessThan(0.011))
}

test('the likeliest at temperature 0, the first of equals', () => {
  expect(chooseToken(LOGITS, { temperature: 0 }, new Random(0))).toBe(1)
  expect(likeliest(Float32Array.of(1, 3, 3))).toBe(1)
  expect(largest(Float32Array.of(1, 3, 2, 3, -1), 3)).toEqual([1, 3, 2])
  expect(largest(Float32Array.of(2, 1), 5)).toEqual([0, 1])
})

describe('draws tokens as often as', () => {
  test('they are likely', () => {
    expectShares(shares({ temperature: 1 }), [0.1, 0.4, 0.2, 0.3])
  })

  test('the temperature makes them', () => {
    const powers = [0.1, 0.4, 0.2, 0.3].map((p) => p ** 2)
    const sum = powers.reduce((total, power) => total + power, 0)
    expectShares(
      shares({ temperature: 0.5 }),
      powers.map((power) => power / sum),
    )
  })

  test('top-k leaves them', () => {
    expectShares(shares({ temperature: 1, topK: 2 }), [0, 4 / 7, 0, 3 / 7])
    expect(shares({ temperature: 1, topK: 1 }, 50)).toEqual([0, 1, 0, 0])
  })

  test('top-p leaves them: as few as have the probability together', () => {
    expectShares(shares({ temperature: 1, topP: 0.69 }), [0, 4 / 7, 0, 3 / 7])
    expectShares(shares({ temperature: 1, topP: 0.71 }), [0, 4 / 9, 2 / 9, 3 / 9])
    expect(shares({ temperature: 1, topP: 1e-9 }, 50)).toEqual([0, 1, 0, 0])
  })

  test('both leave them, top-p among what top-k has left', () => {
    // Of 4/7 and 3/7 the first alone has a half.
    expect(shares({ temperature: 1, topK: 2, topP: 0.5 }, 50)).toEqual([0, 1, 0, 0])
  })
})

test('one number a token, whatever is drawn', () => {
  const [a, b] = [new Random(3), new Random(3)]
  chooseToken(LOGITS, { temperature: 1 }, a)
  chooseToken(Float32Array.of(0, 0, 0, 9), { temperature: 1, topK: 2 }, b)
  expect(a.uniform()).toBe(b.uniform())
})

test('likeliest next tokens come out of parts as of the whole', () => {
  const random = new Random(1)
  const [rows, vocab] = [3, 40]
  const logits = Float32Array.from({ length: rows * vocab }, () => random.normal())
  const targets = Int32Array.of(0, 17, 39)
  const whole = new NextTokens(targets)
  whole.add({ logits, start: 0, end: vocab })
  const parts = new NextTokens(targets)
  for (const [start, end] of [
    [0, 3],
    [3, 18],
    [18, 40],
  ] as const) {
    const part = Array.from({ length: rows }, (_, row) => [
      ...logits.subarray(row * vocab + start, row * vocab + end),
    ]).flat()
    parts.add({ logits: Float32Array.from(part), start, end })
  }
  for (const row of targets.keys()) {
    const here = [...logits.subarray(row * vocab, (row + 1) * vocab)]
    const sum = here.reduce((total, logit) => total + Math.exp(logit), 0)
    const sorted = [...here.keys()].sort((a, b) => (here[b] ?? 0) - (here[a] ?? 0)).slice(0, 5)
    for (const found of [whole, parts]) {
      expect(found.candidates(row).map(({ id }) => id)).toEqual(sorted)
      expect(found.probability(row)).toBeCloseTo(Math.exp(here[targets[row] ?? 0] ?? 0) / sum, 10)
      expect(found.candidates(row)[0]?.probability).toBeCloseTo(
        Math.exp(Math.max(...here)) / sum,
        10,
      )
    }
  }
})
