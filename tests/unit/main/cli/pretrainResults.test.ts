import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { PretrainResult } from '@shared/jobs'
import type { PretrainedModel } from '@shared/pretraining'
import { formatPretraining } from '../../../../src/main/cli/pretrainResults'
import { curveOver, race, trained, withSeeds } from '../../../support/pretraining'

const cwd = resolve('/home/me')

function resultOf(
  results: readonly PretrainedModel[],
  changes: Partial<PretrainResult> = {},
): PretrainResult {
  return {
    kind: 'pretrain',
    results,
    base: null,
    eval_tokens: 9_000,
    tokens_per_step: 1536,
    device: { device: 'cpu', reason: 'as asked' },
    seconds: 70,
    trial_seconds: 0,
    warnings: [],
    ...changes,
  }
}

function format(result: PretrainResult, evalText?: string): string {
  const models = result.results.map(({ model, name }) => ({ path: resolve(cwd, model), name }))
  const spec = { models, out: resolve(cwd, 'out'), ...(evalText === undefined ? {} : { evalText }) }
  return formatPretraining(result, spec, cwd)
}

describe('formatPretraining', () => {
  it('says of one model what moved, how much of it, and how to measure it', () => {
    const model = trained('grown', [10.643, 5, 4.012], {
      model: 'grown',
      out: resolve(cwd, "it's trained"),
      forgetting: curveOver([0.47, 3.28], 100),
    })
    const base = { eval: 10.65, forgetting: 0.47 }
    const text = format(resultOf([model], { base, trial_seconds: 4 }), resolve(cwd, 'e.txt'))
    expect(text).toBe(
      `out         ${resolve(cwd, "it's trained")}\n` +
        'layers      6,8 trained, all others frozen\n' +
        'trained     394 k parameters\n' +
        'loss        10.643 → 4.012 (each on its own batch)\n' +
        'eval        10.643 → 4.012 (base 10.650)\n' +
        'forgetting  0.470 → 3.280 (base 0.470)\n' +
        'rate        3e-4\n' +
        'steps       100 of 1536 tokens: 154 k tokens\n' +
        'device      cpu (as asked)\n' +
        'time        1 min 10 s (training 30 s, trials of rates not gone on with 4.0 s)\n' +
        '\n' +
        "Reading: grown's evaluation loss fell from 10.643 to 4.012 in 100 steps; on the other text it rose from 0.470 to 3.280; one start says nothing of others.\n" +
        '\n' +
        (process.platform === 'win32'
          ? "Measure it on any text: lesa evaluate grown 'it''s trained' --text e.txt\n"
          : "Measure it on any text: lesa evaluate grown 'it'\\''s trained' --text e.txt\n"),
    )
  })

  it('shows a race: losses at the start, halfway and at the end, and the steps to the others', () => {
    const results = race(trained('lesa', [10, 6, 4]), trained('neighbour-mean', [9, 6.5, 5]))
    const text = format(resultOf(results, { base: { eval: 9.5, forgetting: null } }))
    expect(text).toContain(
      'eval loss       rate  step 0  step 50  step 100  time\n' +
        'base                   9.500\n' +
        'lesa            3e-4  10.000    6.000     4.000  30 s\n' +
        'neighbour-mean  3e-4   9.000    6.500     5.000  30 s\n' +
        '\n' +
        'steps to the last loss of         lesa  neighbour-mean\n' +
        'lesa                                 –     75 (0.75 ×)\n' +
        'neighbour-mean             not reached               –\n',
    )
    expect(text).toContain('Reading: lesa ends lowest')
  })

  it('shows the spread of seeds and what was forgotten', () => {
    const forgetting = curveOver([0.5, 1], 100)
    const results = [
      withSeeds(trained('a', [10, 6, 4], { forgetting }), 4.1),
      withSeeds(trained('b', [10, 6, 5], { forgetting }), 5.2),
    ]
    const rows = format(resultOf(results)).split('\n')
    expect(rows[0]?.split(/ {2,}/)).toEqual([
      'eval loss',
      'rate',
      'step 0',
      'step 50',
      'step 100',
      'seeds end',
      'forgetting',
      'time',
    ])
    expect(rows[1]?.split(/ {2,}/)).toEqual([
      'a',
      '3e-4',
      '10.000',
      '6.000',
      '4.000',
      '4.000–4.100',
      '0.500 → 1.000',
      '30 s',
    ])
  })

  it('gives no loss to what diverged, and no way to measure what was not written', () => {
    const lost = trained('bad', [10, 60], {
      steps: 30,
      out: null,
      diverged: { step: 30, loss: 60 },
    })
    const text = format(resultOf([trained('a', [10, 6, 4]), lost]))
    expect(text).toMatch(/^bad +3e-4 +10\.000 +diverged +diverged +30 s$/m)
    expect(text).toMatch(/^a +– *$/m)
    expect(text).not.toMatch(/lesa evaluate .*bad/)
    const alone = format(resultOf([lost]))
    expect(alone).toMatch(/^out +nothing: the training diverged$/m)
    expect(alone).not.toContain('lesa evaluate')
  })
})
