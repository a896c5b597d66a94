import type { Perplexity } from '@shared/projects'
import { describe, expect, it } from 'vitest'
import { readingOf, type Reading } from '../../../../src/renderer/src/views/compare/reading'

function model(
  name: string,
  perplexity: number | null,
  changes: Partial<Perplexity> = {},
): Reading {
  const found: Perplexity = {
    subject: name,
    text: 'a'.repeat(16),
    context: 192,
    perLine: false,
    perplexity,
    tokens: 20_000,
    predicted: 20_000,
    standardError: 0.01,
    losses: null,
    againstBase: null,
    seconds: 1,
    device: 'cpu',
    measuredAt: 1,
    ...changes,
  }
  return { subject: name, name, found }
}

describe('what perplexities say', () => {
  it('is which models differ from the base, and whether the grown ones differ', () => {
    const measured = [model('base', 10), model('A', 9), model('B', 10.1), model('C', 12)]
    expect(readingOf(measured, 512)).toEqual([
      'Clearly better than the base model: A.',
      'Clearly worse than the base model: C.',
      'Level with the base model, as far as this text can tell: B.',
      'Of the grown models, A is clearly the best.',
    ])
  })

  it('is no ranking where chance could have made it', () => {
    const measured = [model('base', 10), model('A', 10.05), model('B', 10.1)]
    expect(readingOf(measured, 512)).toEqual([
      'Level with the base model, as far as this text can tell: A and B.',
      'The grown models differ from each other by no more than chance.',
    ])
  })

  it('is that a model which only guesses is worse than the base', () => {
    const measured = [model('base', 10), model('A', 900), model('B', null)]
    expect(readingOf(measured, 512)).toEqual(['Clearly worse than the base model: A and B.'])
  })

  it.each([
    ['on few tokens', [model('base', 10, { tokens: 4 }), model('A', 5, { tokens: 4 })]],
    ['of models that only guess', [model('base', 900), model('A', 800)]],
    ['without an error', [model('base', 10), model('A', 5, { standardError: null })]],
  ])('is nothing %s', (_name, measured) => {
    expect(readingOf(measured, 512)).toEqual([])
  })
})
