import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ExpandResult } from '@shared/jobs'
import { readDemo, type DemoRow } from '../../../../src/main/cli/demoReading'
import {
  formatExpansion,
  formatPerplexities,
  formatPerplexity,
  shortPath,
  toJson,
} from '../../../../src/main/cli/results'
import { formatTable } from '../../../../src/main/cli/table'

describe('formatTable', () => {
  it('aligns columns and leaves no trailing blanks', () => {
    const text = formatTable(
      [{ title: 'name' }, { title: 'n', align: 'right' }, { title: 'note' }],
      [
        ['a', '1', 'x'],
        ['long name', '1000', ''],
      ],
    )
    expect(text).toBe('name          n  note\na             1  x\nlong name  1000\n')
  })
})

describe('results', () => {
  const result: ExpandResult = {
    kind: 'expand',
    out: '/out',
    method: 'lesa',
    num_hidden_layers: 6,
    new_layers: [3, 5],
    parameters: 3_610_000,
    bytes: 7_220_000,
    shards: 1,
    device: { device: 'cpu', reason: 'as asked' },
    seed: 3,
    seconds: 61.2,
    predictors: [
      {
        weightType: 'q_proj',
        rank: 128,
        samples: 1280,
        steps: 100,
        lossPerEpoch: [0.5, 0.25],
        mse: 0.2,
        mseOfZero: 0.4,
        mseOfMean: 0.1,
        normRatio: 0.9,
        holdout: {
          layer: 2,
          mse: 0.3,
          mseOfZero: 0.2,
          mseOfMean: 0.6,
          normRatio: 0.7,
          cosine: 0.0123,
        },
      },
    ],
    warnings: [],
  }

  it('says what an expansion did, with the errors over their yardsticks', () => {
    const text = formatExpansion(result)
    expect(text).toContain('layers      4 → 6')
    expect(text).toContain('new layers  3,5')
    expect(text).toContain('time        1 min 1 s')
    const row = text.split('\n').find((line) => line.startsWith('q_proj'))
    expect(row?.split(/\s+/)).toEqual(
      'q_proj 1280 100 0.5000 0.2500 0.5000 2.000 0.9000 2 1.500 0.5000 0.012'.split(' '),
    )
  })

  it('says nothing of predictors or devices where there were none', () => {
    const text = formatExpansion({ ...result, method: 'solar', device: null, predictors: [] })
    expect(text).not.toContain('predictor')
    expect(text).not.toContain('device')
  })

  it('shows perplexities with paths from where the person is', () => {
    const cwd = resolve('/home/me')
    const text = formatPerplexities(
      [
        {
          model: resolve(cwd, 'grown'),
          perplexity: 1.55359,
          tokens: 9000,
          predicted: 8950,
          standardError: 0.0031,
          context: 192,
          num_hidden_layers: 18,
          seconds: 2,
        },
      ],
      cwd,
    )
    expect(text).toBe(
      'model  layers  perplexity     95 %  scored  context   time\n' +
        'grown      18      1.5536  ±0.61 %    8950      192  2.0 s\n',
    )
    expect(shortPath(resolve('/srv/x'), cwd)).toBe(resolve('/srv/x'))
  })

  it('keeps a broken model readable and its JSON valid', () => {
    expect(formatPerplexity(123_456_789)).toBe('1.23457e+8')
    expect(JSON.parse(toJson({ perplexity: Infinity }))).toEqual({ perplexity: null })
  })
})

describe('readDemo', () => {
  const rows = (lesa: number, mean: number, noise: number): DemoRow[] =>
    (
      [
        [null, 1.5536],
        ['lesa', lesa],
        ['llama-pro', 1.5536],
        ['solar', 1.5666],
        ['neighbour-mean', mean],
        ['noise', noise],
      ] as const
    ).map(([method, perplexity]) => ({ method, perplexity, layers: 18, seconds: null }))

  it('says that LESA is worth more than noise only when it is', () => {
    expect(readDemo(rows(1.5537, 1.5574, 1.5538))).toContain(
      'level with the base, below Neighbour mean and SOLAR, level with Noise control: by this measure its ' +
        'prediction is worth no more than noise',
    )
    expect(readDemo(rows(1.5537, 1.5574, 1.57))).toContain(
      'below Neighbour mean, SOLAR and Noise control: its prediction is worth more than noise',
    )
  })

  it('hides nothing when LESA is worse', () => {
    expect(readDemo(rows(1.59, 1.5574, 1.5538))).toContain(
      'above the base, above Neighbour mean, SOLAR and Noise control',
    )
  })
})
