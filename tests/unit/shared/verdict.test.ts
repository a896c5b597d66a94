import { describe, expect, it } from 'vitest'
import type { Method } from '@shared/methods'
import { verdict, type MeasuredLosses, type VerdictSubject } from '../../../src/shared/verdict'

const WINDOWS = 12
const TOKENS = 255
const CONTEXT = { textName: 'eval.txt', vocabularySize: 512 }

/** Windows' losses around `level`, each model with its own ripple of 0.01 beside what makes a window hard for all. */
function losses(level: number, ripple = 0, windows = WINDOWS): MeasuredLosses {
  const at = (window: number): number =>
    level + 0.5 * Math.sin(window * 2.1) + (ripple === 0 ? 0 : 0.01 * Math.cos(window * ripple))
  return {
    windowNll: Array.from({ length: windows }, (_, window) => TOKENS * at(window)),
    windowTokens: Array.from({ length: windows }, () => TOKENS),
  }
}

interface Options extends Partial<VerdictSubject> {
  readonly windows?: number
}

function model(
  name: string,
  method: Method | null,
  level: number,
  ripple: number,
  { windows, ...more }: Options = {},
): VerdictSubject {
  return {
    name,
    method,
    layers: method === null ? 12 : 18,
    losses: losses(level, ripple, windows),
    perplexity: Math.exp(level),
    tokens: (windows ?? WINDOWS) * TOKENS,
    ...more,
  }
}

const BASE = model('base', null, 1, 0)
const PRO = model('LLaMA Pro', 'llama-pro', 1, 0)
const all = (lesa: number): VerdictSubject[] => [
  BASE,
  PRO,
  model('Neighbour mean', 'neighbour-mean', 1.1, 1.3),
  model('Noise', 'noise', 1.05, 0.7),
  model('LESA', 'lesa', lesa, 1.7),
]
const LESA = 3

describe('each grown model', () => {
  it.each<[number, string, string, string, string]>([
    [0.9, 'better', 'better', 'better', 'better'],
    [1, 'not_distinguishable', 'not_distinguishable', 'better', 'better'],
    [1.05, 'worse', 'worse', 'better', 'not_distinguishable'],
    [1.1, 'worse', 'worse', 'not_distinguishable', 'worse'],
    [1.2, 'worse', 'worse', 'worse', 'worse'],
  ])('at %d is against base, zero, mean and noise %s, %s, %s, %s', (level, ...expected) => {
    const { pairs } = verdict(all(level), CONTEXT)
    const own = pairs.filter(({ name }) => name === 'LESA')
    expect(own.map(({ against }) => against)).toEqual(['base', 'zero', 'mean', 'noise'])
    expect(own.map(({ outcome }) => outcome)).toEqual(expected)
  })

  it.each<[number, string, RegExp]>([
    [
      0.9,
      'better',
      /^LESA is better than the base and zero \(LLaMA Pro\) by 0\.(?:09|10)\d* nats a token \(95 %: 0\.09\d* to 0\.1\d*\)/,
    ],
    [
      1.1,
      'worse',
      /^LESA is worse than the base and zero \(LLaMA Pro\) by 0\.10\d* nats a token \(95 %: 0\.09\d* to 0\.1\d*\)/,
    ],
    [
      1,
      'chance',
      /^LESA is not distinguishable from the base and zero \(LLaMA Pro\) \([+−]?0\.000\d* nats a token, 95 %: −0\.00\d* to \+0\.00\d*\)/,
    ],
  ])('at %d reads %s, with the interval', (level, _, sentence) => {
    expect(verdict(all(level), CONTEXT).sentences[LESA]).toMatch(sentence)
  })

  it.each<[number, RegExp]>([
    [
      0.9,
      /better than the base and zero \(LLaMA Pro\) by .* better than the neighbours’ mean by .* and better than noise by/,
    ],
    [
      1,
      /not distinguishable from the base and zero \(LLaMA Pro\) .* better than the neighbours’ mean .* and better than noise/,
    ],
    [
      1.05,
      /worse than the base and zero \(LLaMA Pro\) by .* better than the neighbours’ mean .* and not distinguishable from noise/,
    ],
    [
      1.1,
      /worse than the base and zero .* not distinguishable from the neighbours’ mean .* and worse than noise/,
    ],
    [
      1.2,
      /worse than the base and zero .* worse than the neighbours’ mean .* and worse than noise/,
    ],
  ])('at %d is told against every yardstick', (level, sentence) => {
    expect(verdict(all(level), CONTEXT).sentences[LESA]).toMatch(sentence)
  })

  it('is told from zero by itself where that is not the base any more', () => {
    const trained = model('LLaMA Pro', 'llama-pro', 0.8, 0.9)
    expect(verdict([BASE, trained, model('LESA', 'lesa', 0.9, 1.7)], CONTEXT).sentences[1]).toMatch(
      /^LESA is better than the base by 0\.\d+ nats a token \(.*\), and worse than zero \(LLaMA Pro\) by 0\.\d+ \(95 %: 0\.\d+ to 0\.\d+\)\.$/,
    )
  })

  it('that computes what the base computes is called the same', () => {
    const { sentences, pairs } = verdict([BASE, PRO], CONTEXT)
    expect(pairs).toMatchObject([{ against: 'base', outcome: 'same' }])
    expect(sentences).toEqual(['LLaMA Pro is the same as the base at every window.'])
    const moved = model('LLaMA Pro', 'llama-pro', 1, 0.9)
    expect(verdict([BASE, moved], CONTEXT).sentences[0]).toMatch(
      /^LLaMA Pro is not distinguishable/,
    )
  })

  it('is told with what is left of the base’s predictions', () => {
    const againstBase = { kl: 0.0312, kl_standard_error: 0.001, top1_agreement: 0.9731 }
    const { sentences } = verdict([BASE, model('LESA', 'lesa', 1.1, 1.7, { againstBase })], CONTEXT)
    expect(sentences[0]).toMatch(
      /; its predictions are 0\.0312 ± 0\.0020 nats a token from the base’s \(KL\), with the same most likely token at 97\.3 % of positions\.$/,
    )
  })
})

describe('the lead', () => {
  it.each<[number, string]>([
    [
      0.9,
      'Of 4 grown models LESA is better than the base; LESA is the lowest, 0.099 nats a token below LLaMA Pro; LESA’s prediction beats zero, the neighbours’ mean and noise.',
    ],
    [
      1,
      'No grown model is better than the base; the lowest, LLaMA Pro, is not distinguishable from LESA; LESA’s prediction beats the neighbours’ mean and noise, but not zero.',
    ],
    [
      1.05,
      'No grown model is better than the base; LLaMA Pro is the lowest, 0.051 nats a token below LESA; LESA’s prediction beats the neighbours’ mean, but neither zero nor noise.',
    ],
    [
      1.2,
      'No grown model is better than the base; LLaMA Pro is the lowest, 0.052 nats a token below Noise; LESA’s prediction beats neither zero, the neighbours’ mean nor noise.',
    ],
  ])('with LESA at %d', (level, lead) => {
    expect(verdict(all(level), CONTEXT).lead).toBe(lead)
  })

  it.each<[number, string]>([
    [0.9, 'LESA is better than the base.'],
    [1, 'LESA is not distinguishable from the base.'],
    [1.1, 'LESA is worse than the base.'],
  ])('of one grown model at %d', (level, lead) => {
    expect(verdict([BASE, model('LESA', 'lesa', level, 1.7)], CONTEXT).lead).toBe(lead)
  })

  it.each<[number, RegExp]>([
    [0.9, /^Every grown model is better than the base;/],
    [1.1, /^Every grown model is worse than the base;/],
  ])('where all are alike at %d', (level, lead) => {
    const two = [model('A', 'lesa', level, 1.7), model('B', 'solar', level + 0.05, 1.3)]
    expect(verdict([BASE, ...two], CONTEXT).lead).toMatch(lead)
  })

  it.each<[number, RegExp]>([
    [
      1.02,
      /^LESA is the lowest, 0\.03\d nats a token below Noise; LESA’s prediction beats noise\.$/,
    ],
    [
      1.05,
      /^The lowest, \w+, is not distinguishable from \w+; LESA’s prediction does not beat noise\.$/,
    ],
    [
      1.08,
      /^Noise is the lowest, 0\.0[23]\d* nats a token below LESA; LESA’s prediction does not beat noise\.$/,
    ],
  ])('without a base, LESA at %d and noise at 1.05', (level, lead) => {
    const two = [model('Noise', 'noise', 1.05, 0.7), model('LESA', 'lesa', level, 1.7)]
    expect(verdict(two, CONTEXT).lead).toMatch(lead)
  })
})

describe('what cannot be compared', () => {
  it('one model, or none', () => {
    expect(verdict([BASE], CONTEXT)).toMatchObject({ sentences: [], pairs: [] })
    expect(verdict([BASE], CONTEXT).lead).toMatch(/^Nothing is compared: fewer than two/)
    expect(verdict([], CONTEXT).lead).toMatch(/^Nothing is compared/)
    const alone = verdict([model('LESA', 'lesa', 1, 1.7)], CONTEXT)
    expect(alone.sentences).toEqual(['LESA has nothing here to be compared with.'])
  })

  it('by one window', () => {
    const windows = 1
    const { lead, sentences, pairs } = verdict(
      [model('base', null, 1, 0, { windows }), model('LESA', 'lesa', 0.5, 1.7, { windows })],
      CONTEXT,
    )
    expect(lead).toBe('One window was scored, so no difference can be told from chance.')
    expect(sentences[0]).toMatch(/^LESA cannot be told from the base: one window was scored/)
    expect(pairs).toMatchObject([{ outcome: 'unknown', difference: null }])
  })

  it('by other windows', () => {
    const other = model('LESA', 'lesa', 0.5, 1.7, { windows: 11 })
    const { lead, sentences } = verdict([BASE, other], CONTEXT)
    expect(lead).toBe('Nothing is compared: the models were measured on different windows.')
    expect(sentences[0]).toMatch(/^LESA cannot be compared with the base: .* other windows/)
  })

  it('after a divergence, or without its windows', () => {
    const diverged = model('SOLAR', 'solar', 0.2, 1, { training: { steps: 50, diverged: true } })
    const unknown = { ...model('Stack', 'stack', 0.2, 1), losses: null }
    const beyond = model('Wild', 'interpolation', 800, 1, { perplexity: null })
    const { sentences, lead, cautions } = verdict([BASE, PRO, diverged, unknown, beyond], CONTEXT)
    expect(sentences[1]).toBe('SOLAR diverged in training and is not compared.')
    expect(sentences[2]).toMatch(/^Stack cannot be compared/)
    expect(sentences[3]).toMatch(
      /^Wild is worse than the base and zero \(LLaMA Pro\) by 799\.\d+ nats/,
    )
    expect(lead).toMatch(/^No grown model is better than the base; LLaMA Pro is the lowest/)
    expect(cautions.join()).toMatch(/Wild: guessing among all 512 tokens/)
  })
})

describe('several seeds', () => {
  const seeds = (...levels: number[]): VerdictSubject[] =>
    levels.map((level, index) => model('LESA', 'lesa', level, 1.3 + index / 5, { group: 'lesa' }))

  it.each<[string, number[], string]>([
    ['all below', [0.9, 0.92, 0.94], 'better'],
    ['all above', [1.1, 1.12, 1.14], 'worse'],
    ['on both sides', [0.7, 0.9, 1.05], 'not_distinguishable'],
  ])('%s: %o are %s', (_, levels, outcome) => {
    const { pairs, sentences } = verdict([BASE, ...seeds(...levels)], CONTEXT)
    expect(pairs).toMatchObject([{ name: 'LESA', outcome }])
    expect(sentences).toHaveLength(1)
    const spread = [Math.min(...levels), Math.max(...levels)].map((end) => end.toFixed(1))
    expect(sentences[0]).toMatch(
      new RegExp(`its 3 seeds lie between ${spread[0] ?? ''}\\d+ and [01]\\.\\d+ nats`),
    )
  })

  it('of which one is no number are not compared', () => {
    const [first, second] = seeds(0.9, 0.92)
    const lost = { ...(second as VerdictSubject), losses: null }
    expect(verdict([BASE, first as VerdictSubject, lost], CONTEXT).pairs).toMatchObject([
      { outcome: 'unknown' },
    ])
  })
})

describe('cautions', () => {
  const cautions = (subjects: readonly VerdictSubject[]): string =>
    verdict(subjects, CONTEXT).cautions.join('\n')

  it.each<[string, VerdictSubject[], RegExp, VerdictSubject[]]>([
    [
      'few tokens',
      [BASE, { ...PRO, tokens: 999 }],
      /Only 999 tokens of eval\.txt were scored/,
      [BASE, { ...PRO, tokens: 1000 }],
    ],
    [
      'few windows',
      [model('base', null, 1, 0, { windows: 9 })],
      /Only 9 windows of eval\.txt/,
      [model('base', null, 1, 0, { windows: 10 })],
    ],
    [
      'guessing',
      [BASE, { ...PRO, perplexity: 512 }],
      /LLaMA Pro: guessing among all 512 tokens/,
      [BASE, { ...PRO, perplexity: 511 }],
    ],
    [
      'depth',
      [BASE, PRO, model('SOLAR', 'solar', 1.1, 1, { layers: 21 })],
      /differ in depth \(18 and 21 layers\)/,
      [BASE, PRO, model('SOLAR', 'solar', 1.1, 1)],
    ],
    [
      'training',
      [BASE, PRO, model('SOLAR', 'solar', 1.1, 1, { training: { steps: 50, diverged: false } })],
      /not trained for the same number of steps/,
      [BASE, PRO, model('SOLAR', 'solar', 1.1, 1, { training: { steps: 0, diverged: false } })],
    ],
    ['missing yardsticks', [BASE, PRO], /Not measured: the neighbours’ mean and noise/, all(1)],
  ])('%s', (_, doubtful, caution, sound) => {
    expect(cautions(doubtful)).toMatch(caution)
    expect(cautions(sound)).not.toMatch(caution)
  })

  it('there are none for a sound comparison, which says that all are equally deep', () => {
    const { cautions: found, sentences } = verdict(all(1), CONTEXT)
    expect(found).toEqual([])
    expect(sentences.at(-1)).toBe('All 4 grown models have 18 layers.')
  })
})

it('a model of unknown making is read against the base, of two noises the lower one counts', () => {
  const unknown = model('other', null, 1.1, 1.7, { isBase: false })
  const noises = [model('Noise 1', 'noise', 1.3, 0.7), model('Noise 2', 'noise', 1.2, 0.8)]
  const { pairs } = verdict([unknown, { ...BASE, isBase: true }, ...noises], CONTEXT)
  expect(pairs.filter(({ name }) => name === 'other')).toMatchObject([
    { against: 'base', other: 'base', outcome: 'worse' },
    { against: 'noise', other: 'Noise 2', outcome: 'better' },
  ])
})
