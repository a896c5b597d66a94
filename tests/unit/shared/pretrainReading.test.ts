import { describe, expect, it } from 'vitest'
import { readRace } from '@shared/pretrainReading'
import { valueAt, type PretrainedModel } from '@shared/pretraining'
import { curveOver, race, trained, withSeeds } from '../../support/pretraining'

const lost: Partial<PretrainedModel> = { out: null, diverged: { step: 31, loss: Infinity } }
const trial = (lr: number) => ({ lr, steps: 10, loss: 5, seconds: 1 })

describe('readRace of one model', () => {
  it('says what its loss did, and that one start says nothing of others', () => {
    expect(readRace([trained('lesa', [10.6, 5, 4])], 9_000)).toBe(
      "lesa's evaluation loss fell from 10.600 to 4.000 in 100 steps; one start says nothing of others.",
    )
  })

  it.each([
    [[4, 4.5], 'rose from 4.000 to 4.500'],
    [[0.47, 0.4701], 'stayed at 0.470'],
    [[6.2949, 6.2953], 'stayed at 6.295'],
  ])('says of %j that it %s', (points, words) => {
    expect(readRace([trained('a', points)], 9_000)).toContain(words)
  })

  it('says what became of the other text', () => {
    const model = trained('a', [10, 4], { forgetting: curveOver([0.47, 3.28], 100) })
    expect(readRace([model], 9_000)).toContain('; on the other text it rose from 0.470 to 3.280;')
  })

  it('does not take the batches that were trained on for a measurement', () => {
    const model = trained('a', [], { eval: [], loss: curveOver([10, 8, 6], 100).slice(1) })
    expect(readRace([model])).toMatch(
      /^a's training loss, smoothed, fell from 8\.000 to .*; nothing was held back to measure on;/,
    )
  })

  it('says how few tokens an evaluation loss is the mean of', () => {
    expect(readRace([trained('a', [10, 4])], 380)).toContain('380 tokens are too few to measure on')
  })

  it('gives the range of several seeds', () => {
    const model = withSeeds(trained('a', [10, 4]), 4.2, 4.1)
    expect(readRace([model], 9_000)).toContain(
      'to 4.100 in 100 steps (3 seeds, which end between 4.000 and 4.200)',
    )
  })

  it('says where it diverged, and nothing of a loss', () => {
    expect(readRace([trained('a', [10, 4], lost)], 9_000)).toBe(
      'a diverged at step 31 at the rate 3e-4; a lower rate may hold.',
    )
  })

  it('is nothing for nothing', () => {
    expect(readRace([])).toBe('')
  })
})

describe('readRace of several', () => {
  it('names a clear winner with what the paper measures, and what one seed and one rate leave open', () => {
    const results = race(trained('lesa', [10, 5, 4]), trained('mean', [10, 6, 4.5]))
    expect(readRace(results, 9_000)).toBe(
      "lesa ends lowest after 100 steps (4.000), 0.500 below mean, and had mean's last loss after 75 steps (0.75 of them); " +
        'one seed, after which differences up to 0.04 may be chance; ' +
        'all at the rate 3e-4, which may suit one start better than another.',
    )
  })

  it('calls equal what one seed cannot tell apart', () => {
    const results = race(trained('a', [10, 5, 4]), trained('b', [10, 5, 4.03]))
    expect(readRace(results, 9_000)).toMatch(
      /^Both end level after 100 steps \(4\.000 to 4\.030, within 0\.04\); one seed/,
    )
    const three = race(...results, trained('c', [9, 5, 4.01]))
    expect(readRace(three, 9_000)).toMatch(/^All 3 starts end level/)
  })

  it('names those that share the lead, in the order of their ends', () => {
    const results = race(
      trained('solar', [10, 6, 5]),
      trained('pro', [10, 5, 4.02]),
      trained('lesa', [10, 5, 4]),
    )
    expect(readRace(results, 9_000)).toMatch(
      /^lesa and pro end level after 100 steps \(4\.000, within 0\.04\), 1\.000 below solar;/,
    )
  })

  it('believes several seeds only where all of them say the same, by more than they differ', () => {
    const a = withSeeds(trained('a', [10, 5, 4]), 4.02, 4.01)
    const clear = race(a, withSeeds(trained('b', [10, 5, 4.1]), 4.12, 4.13))
    expect(readRace(clear, 9_000)).toMatch(
      /^a ends lowest after 100 steps \(4\.010\), 0\.107 below b with each of 3 seeds,.*; 3 seeds, which is few;/,
    )
    const crossing = race(a, withSeeds(trained('b', [10, 5, 4.5]), 4.01, 4.5))
    expect(readRace(crossing, 9_000)).toMatch(/^Both end level .*within the seeds' spread/)
    const wide = race(a, withSeeds(trained('b', [10, 5, 4.03]), 4.3, 4.05))
    expect(readRace(wide, 9_000)).toMatch(/^Both end level/)
  })

  it('leaves out what diverged, and says so', () => {
    const results = race(
      trained('a', [10, 4.5, 4]),
      trained('bad', [10, 50], lost),
      trained('b', [10, 5, 4.5]),
    )
    expect(readRace(results, 9_000)).toMatch(
      /^a ends lowest .* below b.*; bad diverged at step 31 at the rate 3e-4; one seed/,
    )
    expect(readRace(results.slice(0, 2), 9_000)).toBe(
      'Only a reached the end, at 4.000; bad diverged at step 31 at the rate 3e-4; ' +
        'nothing is left to compare it with; lower rates may hold.',
    )
    const all = [trained('bad', [10, 50], lost), trained('worse', [10, 50], lost)]
    expect(readRace(all, 9_000)).toMatch(
      /^bad diverged .*; worse diverged .*; no start can be compared/,
    )
  })

  it('counts a start as diverged of which one seed did not reach the end', () => {
    const a = trained('a', [10, 5, 4])
    const [repeat] = withSeeds(a, 4).repeats
    if (!repeat) throw new Error('no repeat')
    const stopped = { ...a, repeats: [{ ...repeat, loss: [[1, 10] as const, [20, 90] as const] }] }
    const results = [stopped, withSeeds(trained('b', [10, 5, 4.5]), 4.5)]
    expect(readRace(results, 9_000)).toContain('a diverged with one of its seeds')
  })

  it('does not rank after few steps, nor on few tokens', () => {
    const short = { steps: 20 }
    const results = race(trained('a', [10, 5, 4], short), trained('b', [10, 6, 5], short))
    expect(readRace(results, 400)).toContain(
      '; 400 tokens are too few to measure on; 20 steps are too few to tell which start trains best;',
    )
  })

  it('says when another start led halfway', () => {
    const results = race(trained('a', [10, 6, 4]), trained('b', [10, 5, 4.5]))
    expect(readRace(results, 9_000)).toContain(
      '; halfway b led, so more steps may change the order again;',
    )
  })

  it('says when starts were trained at different rates, or each at its own best', () => {
    const other = race(trained('a', [10, 4]), trained('b', [10, 5], { lr: 1e-3 }))
    expect(readRace(other, 9_000)).toContain('at different rates (a 3e-4, b 0.001)')

    const trials = [trial(1e-4), trial(3e-4), trial(1e-3)]
    const own = race(trained('a', [10, 4], { trials }), trained('b', [10, 5], { trials }))
    expect(readRace(own, 9_000)).toMatch(/; each at its own best of 3 rates in short trials\.$/)
    const edge = race(
      trained('a', [10, 4], { trials, lr: 1e-3 }),
      trained('b', [10, 5], { trials }),
    )
    expect(readRace(edge, 9_000)).toMatch(/short trials, a's being the highest that was tried\.$/)
    const edges = edge.map((model) => ({ ...model, lr: 1e-4 }))
    expect(readRace(edges, 9_000)).toMatch(/which for a and b lies at the end of what was tried\.$/)
  })

  it('says when nothing was held back', () => {
    const results = [trained('a', [10, 4]), trained('b', [10, 5])].map((model) => ({
      ...model,
      eval: [],
    }))
    expect(readRace(results)).toContain('; nothing was held back to measure on;')
  })
})

describe('valueAt', () => {
  const curve = curveOver([8, 4, 2], 100)

  it.each([
    [0, 8],
    [25, 6],
    [50, 4],
    [100, 2],
    [120, 2],
    [-1, 8],
  ])('at %i is %d', (step, value) => {
    expect(valueAt(curve, step)).toBe(value)
  })

  it('of nothing is nothing', () => {
    expect(valueAt([], 1)).toBeNull()
  })
})
