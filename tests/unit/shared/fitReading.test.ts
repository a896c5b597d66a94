import type { FitReport, UnseenLosses } from '@shared/fit'
import { readFit } from '@shared/fitReading'
import { fitReportSchema } from '@shared/fitRecord'
import { expect, test } from 'vitest'

const unseen = (changes: Partial<UnseenLosses> = {}): UnseenLosses => ({
  tokens: 1016,
  before: 10.165,
  after: 5.016,
  difference: { mean: -5.149, low: -5.4, high: -4.9 },
  ...changes,
})

const report = (changes: Partial<FitReport> = {}): FitReport => ({
  texts: [{ name: 'far.txt', bytes: 10, documents: 1, tokens: 5 }],
  old_texts: [],
  context: 128,
  rounds: [
    {
      tokens: 4064,
      loss: 10.1,
      step: 1.6,
      tried: [
        [0, 9.9],
        [1.6, 4.9],
        [3.2, Infinity],
      ],
    },
  ],
  unseen: unseen(),
  unseen_old: null,
  ...changes,
})

test.each<[string, Partial<UnseenLosses>, string]>([
  [
    'lower',
    {},
    'A step of 1.6 lowered the loss from 10.165 to 5.016 on parts of the text that nothing was fitted to (1.02 k tokens); ' +
      '95 % interval of the difference: −5.400 to −4.900.',
  ],
  [
    'higher',
    { after: 10.365, difference: { mean: 0.2, low: 0.1, high: 0.3 } },
    'A step of 1.6 raised the loss from 10.165 to 10.365 on parts of the text that nothing was fitted to (1.02 k tokens); ' +
      '95 % interval of the difference: +0.100 to +0.300.',
  ],
  [
    'neither',
    { after: 10.115, difference: { mean: -0.05, low: -0.2, high: 0.1 } },
    'A step of 1.6 moved the loss from 10.165 to 10.115 on parts of the text that nothing was fitted to (1.02 k tokens), ' +
      'which cannot be told from no change; 95 % interval of the difference: −0.200 to +0.100.',
  ],
  [
    'unsure',
    { difference: null },
    'A step of 1.6 took the loss from 10.165 to 5.016 on parts of the text that nothing was fitted to (1.02 k tokens); ' +
      'there are too few windows to say how sure that is.',
  ],
])('a fit whose loss is %s', (_, changes, sentence) => {
  expect(readFit(report({ unseen: unseen(changes) }))).toEqual([sentence])
})

test('a fit that found nothing to gain', () => {
  const [sentence] = readFit(report({ rounds: [{ tokens: 1, loss: 1, step: 0, tried: [[0, 1]] }] }))
  expect(sentence).toContain('begin as LLaMA Pro’s do')
})

test('several rounds, the last of which found nothing, and what became of the old text', () => {
  const [round] = report().rounds
  const rounds = [round!, { ...round!, step: 0.2 }, { ...round!, step: 0 }]
  const old = unseen({
    before: 0.45,
    after: 2.1,
    difference: { mean: 1.65, low: 1.5, high: 1.8 },
  })
  expect(readFit(report({ rounds, unseen_old: old }))).toEqual([
    expect.stringMatching(/^2 steps \(1\.6, 0\.2\) lowered the loss/),
    'It raised the loss from 0.450 to 2.100 on the old text (1.02 k tokens); 95 % interval of the difference: +1.500 to +1.800.',
  ])
})

test('is read again as it was written', () => {
  const written = report({ unseen_old: unseen({ difference: null }) })
  expect(fitReportSchema.parse(JSON.parse(JSON.stringify(written)))).toEqual(written)
})
