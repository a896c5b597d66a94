import type { Continuation, GenerateResult, NextToken } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { runCli } from '../../../../src/main/cli/main'
import { formatContinuations } from '../../../../src/main/cli/tryResults'
import { fakeIo, NO_PATHS } from './fakeIo'

const token = (id: number, text: string, probability: number): NextToken => ({
  id,
  text,
  probability,
})

const written = (model: string, changes: Partial<Continuation> = {}): Continuation => ({
  model,
  num_hidden_layers: 12,
  text: ' was\nred',
  tokens: [token(1, ' was', 0.9), token(2, '\nred', 0.5)],
  end: 'tokens',
  prompt_tokens: 3,
  resident: true,
  seconds_per_token: 0.0123,
  seconds: 1,
  ...changes,
})

function format(changes: Partial<GenerateResult> = {}): string {
  const result: GenerateResult = {
    kind: 'generate',
    continuations: [written('/work/base'), written('/work/grown')],
    comparison: {
      models: [0, 1],
      places: [
        { id: 1, text: ' was', differs: false, models: [] },
        {
          id: 2,
          text: '\nred',
          differs: true,
          models: [
            { probability: 0.5, next: [token(2, '\nred', 0.5)] },
            { probability: 0.1, next: [token(3, ' \u001b[31mblue', 0.625)] },
          ],
        },
      ],
    },
    ...changes,
  }
  return formatContinuations(result, { prompt: 'The ball' }, '/work')
}

it('prints each text, and what the models would have written where they differ', () => {
  expect(format()).toBe(
    [
      'base  (12 layers; 2 tokens, 13 ms a token)',
      '   was',
      '  red',
      '',
      'grown  (12 layers; 2 tokens, 13 ms a token)',
      '   was',
      '  red',
      '',
      'The likeliest next token differs, after the same text, at 1 of 2 places:',
      'place  after          base         grown',
      '    2  …The ball was  “⏎red” 50 %  “ blue” 63 %',
      '',
    ].join('\n'),
  )
})

it('says what else there is to know of a text', () => {
  const one = written('/work/base', {
    tokens: [token(1, '</s>', 0.9)],
    text: '',
    end: 'end_of_text',
    resident: false,
    seconds_per_token: null,
  })
  const comparison = { models: [0], places: [] }
  expect(format({ continuations: [one], comparison })).toContain(
    'base  (12 layers; 1 token, which ends the text, weights read again for each)',
  )
  const full = written('/work/base', { end: 'context', seconds_per_token: 75 })
  expect(format({ continuations: [full], comparison })).toContain(
    '2 tokens, which fills its context, 1 min 15 s a token',
  )
})

it('says where nothing differs, and what cannot be compared', () => {
  const places = [{ id: 1, text: ' was', differs: false, models: [] }]
  expect(format({ comparison: { models: [0, 1], places } })).toContain(
    'The likeliest next token is the same at all 1 places.',
  )
  expect(format({ comparison: { models: [0], places } })).toContain(
    'A model has another tokenizer than the first: its tokens cannot be compared.',
  )
})

describe('lesa try', () => {
  it.each([
    [['try', '--prompt', 'x'], "'model'"],
    [['try', 'm'], 'either --prompt or --prompt-file'],
    [['try', 'm', '--prompt', 'x', '--prompt-file', 'y'], 'either --prompt or --prompt-file'],
    [['try', 'm', '--prompt', ''], '--prompt: '],
    [['try', 'm', '--prompt', 'x', '--tokens', '0'], '--tokens: '],
    [['try', 'm', '--prompt', 'x', '--temperature', '11'], '--temperature: '],
    [['try', 'm', '--prompt', 'x', '--top-k', '0'], '--top-k: '],
    [['try', 'm', '--prompt', 'x', '--top-p', '0'], '--top-p: '],
    [['try', 'm', '--prompt', 'x', '--memory', 'big'], '5GB'],
    [['try', ...'123456789', '--prompt', 'x'], 'MODEL: '],
  ])('answers %j with one line and exit code 2', async (args, message) => {
    const io = fakeIo()
    expect(await runCli(args, io, NO_PATHS)).toBe(2)
    expect(io.stderr.text).toContain(message)
    expect(io.stderr.text.trim().split('\n')).toHaveLength(1)
  })

  it('says which file of a prompt is not there', async () => {
    const io = fakeIo()
    expect(await runCli(['try', 'm', '--prompt-file', '/nowhere/prompt.txt'], io, NO_PATHS)).toBe(1)
    expect(io.stderr.text).toContain('/nowhere/prompt.txt')
  })
})
