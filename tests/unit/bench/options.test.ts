import { describe, expect, it } from 'vitest'
import { parseOptions } from '../../bench/lib/options'

const names = ['decompose-2048', 'startup', 'evaluate']

describe('parseOptions', () => {
  it('takes names one by one and in lists', () => {
    const args = ['--only', 'startup,evaluate', '--only', 'decompose-2048', '--json']
    expect(parseOptions(args, names)).toMatchObject({
      only: ['startup', 'evaluate', 'decompose-2048'],
      json: true,
      reference: true,
      quick: false,
      repeats: null,
    })
  })

  it('refuses what it does not know', () => {
    expect(() => parseOptions(['--only', 'nothing'], names)).toThrow(/"nothing".*startup/)
    expect(() => parseOptions(['--repeat', '0'], names)).toThrow(/--repeat/)
    expect(() => parseOptions(['--fast'], names)).toThrow(/--fast/)
    expect(() => parseOptions(['startup'], names)).toThrow(/startup/)
  })
})
