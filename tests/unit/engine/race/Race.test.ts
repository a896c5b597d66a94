import type { Curve } from '@shared/pretraining'
import { describe, expect, it } from 'vitest'
import { compare, requireOne, type Trained } from '../../../../src/main/engine/race/Race'

const falling = (...values: readonly number[]): Curve =>
  values.map((value, index) => [index * 10, value] as const)

function trained(name: string, measured: Curve, changes: Partial<Trained> = {}): Trained {
  return {
    model: `/models/${name}`,
    name,
    out: `/out/${name}`,
    steps: 20,
    tokens: 640,
    lr: 1e-3,
    trained_layers: [1],
    trained_parameters: 10,
    seconds: 1,
    seed: 0,
    loss: [[1, 3]],
    eval: measured,
    forgetting: [],
    gradient_norm: [[1, 1]],
    elapsed: [[0, 0]],
    diverged: null,
    repeats: [],
    trials: [],
    ...changes,
  }
}

const lost = { out: null, diverged: { step: 12, loss: 9 } }

describe('what a race came to', () => {
  it('is from which step on each was as good as each other one in the end', () => {
    const results = compare([
      trained('a', falling(4, 3, 2)),
      trained('b', falling(4, 3.5, 3)),
      trained('c', falling(2, 1.9, 1.8)),
    ])
    expect(results.map(({ steps_to_reach }) => steps_to_reach)).toEqual([
      { b: 10, c: null },
      { a: null, c: null },
      { a: 0, b: 0 },
    ])
  })

  it('does not ask for the loss of one that diverged', () => {
    const results = compare([trained('a', falling(4, 3)), trained('b', falling(4, 8), lost)])
    expect(results.map(({ steps_to_reach }) => steps_to_reach)).toEqual([{}, { a: null }])
    expect(() => requireOne(results)).not.toThrow()
  })

  it('is an error when all diverged', () => {
    const results = compare([trained('a', falling(4, 8), lost)])
    expect(() => requireOne(results)).toThrow(
      expect.objectContaining({
        code: 'training_diverged',
        message: 'The training of a diverged; nothing was written.',
        context: expect.objectContaining({
          actual: '9.000 at step 12, with a rate of 0.001',
        }) as unknown,
      }),
    )
    const both = compare([trained('a', falling(4), lost), trained('b', falling(4), lost)])
    expect(() => requireOne(both)).toThrow('Every training diverged')
  })
})
