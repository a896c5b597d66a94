import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import type {
  AgainstBase,
  EvaluateResult,
  ExpandResult,
  Making,
  PerplexityResult,
} from '@shared/jobs'
import type { Method } from '@shared/methods'
import { formatEvaluation, verdictOf } from '../../../../src/main/cli/evaluationResults'
import { readDemo } from '../../../../src/main/cli/demoReading'
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
          layers: [
            { layer: 2, mse: 0.3, mseOfZero: 0.2, mseOfMean: 0.6, normRatio: 0.7, cosine: 0.0123 },
          ],
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
    expect(text).toMatch(
      /\n\nLayer 2, which was kept out .* zero on none of 1 weight type, .*\n\npredictor/,
    )
    // 0.2 · (1 + 0.7²) = 0.298
    expect(text).toContain('error/noise')
    const row = text.split('\n').find((line) => line.startsWith('q_proj'))
    expect(row?.split(/\s+/)).toEqual(
      'q_proj 1280 100 0.5000 0.2500 0.5000 2.000 0.9000 2 1.500 0.5000 1.007 0.012'.split(' '),
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

  describe('of several models', () => {
    const cwd = resolve('/home/me')
    const windows = Array.from({ length: 12 }, (_, window) => window)
    const measured = (name: string, level: number, more: Partial<PerplexityResult> = {}) => ({
      model: resolve(cwd, name),
      perplexity: Math.exp(level),
      tokens: 1250,
      predicted: 1200,
      standardError: 0.01,
      context: 101,
      num_hidden_layers: name === 'base' ? 12 : 18,
      vocab_size: 512,
      seconds: 2,
      window_nll: windows.map((window) => 100 * (level + Math.sin(window * 2.1) / 2)),
      window_tokens: windows.map(() => 100),
      ...more,
    })
    const made = (method: Method): Making => ({
      method,
      seeds: [0],
      recipe: method,
      trained_steps: 0,
    })
    const againstBase = (kl: number): AgainstBase => ({
      difference: null,
      kl,
      kl_standard_error: 0.001,
      top1_agreement: 0.9731,
      tokens: 1200,
    })
    const result: EvaluateResult = {
      kind: 'evaluate',
      results: [
        measured('base', 1),
        measured('lesa', 1.1, { made: made('lesa'), against_base: againstBase(0.05) }),
        measured('noise', 1.2, { made: made('noise'), not_compared: 'has other tokens' }),
      ],
    }
    const asked = { cwd, text: resolve(cwd, 'eval.txt') }
    const row = (text: string, name: string): string =>
      text.split('\n').find((line) => line.startsWith(name)) ?? ''

    it('without --base: the difference to the first, and the verdict below', () => {
      const text = formatEvaluation(result, asked)
      expect(row(text, 'base ')).toMatch(
        /^base +12 +2\.7183 +±2\.0 % +1200 +eval\.txt +101 +2\.0 s$/,
      )
      expect(row(text, 'lesa ')).toMatch(
        /^lesa +18 +3\.0042 +±2\.0 % +\+0\.10000 +\+0\.10000 to \+0\.10000 +1200 +eval\.txt/,
      )
      expect(text).not.toContain('same top')
      expect(text).toMatch(
        /\n\nEvery grown model is worse than the base; lesa is the lowest, 0\.100 nats a token below noise; lesa’s prediction beats noise\.\n\nlesa is worse than the base by 0\.1\d* nats a token/,
      )
      expect(text).toContain('All 2 grown models have 18 layers.\nNote: Not measured: zero and the')
    })

    it('with --base: KL and agreement too, of those that can be compared', () => {
      const text = formatEvaluation(result, { ...asked, base: resolve(cwd, 'base') })
      expect(row(text, 'lesa ')).toMatch(/ 0\.05000 ± 0\.00196 +97\.31 % +1200 /)
      expect(row(text, 'noise ')).toMatch(/ – +– +1200 /)
      expect(text).toMatch(
        /its predictions are 0\.0500 ± 0\.0020 nats a token from the base’s \(KL\)/,
      )
    })

    it('with a base that is not among them: its own line first', () => {
      const [first, ...others] = result.results
      if (!first) throw new Error('no base')
      const apart: EvaluateResult = { kind: 'evaluate', results: others, base: first }
      const named = { ...asked, base: first.model }
      expect(formatEvaluation(apart, named)).toBe(formatEvaluation(result, named))
    })

    it('seeds of one recipe are read as one, models of one name by their paths', () => {
      const seed = (folder: string, level: number, seeds: number[]) =>
        measured(`${folder}/lesa`, level, { made: { ...made('lesa'), seeds } })
      const seeded = [measured('base', 1), seed('a', 1.1, [1]), seed('b', 1.2, [2])]
      const two = verdictOf({ kind: 'evaluate', results: seeded }, asked)
      expect(two.sentences).toHaveLength(1)
      expect(two.sentences[0]).toMatch(
        /^a\/lesa is worse than the base .* its 2 seeds lie between 1\.\d+ and 1\.\d+ nats/,
      )
      const same = [measured('base', 1), seed('a', 1.1, [1]), seed('b', 1.2, [1])]
      expect(verdictOf({ kind: 'evaluate', results: same }, asked).pairs).toHaveLength(2)
    })
  })

  it('keeps a broken model readable and its JSON valid', () => {
    expect(formatPerplexity(123_456_789)).toBe('1.23457e+8')
    expect(JSON.parse(toJson({ perplexity: Infinity }))).toEqual({ perplexity: null })
  })
})

describe('readDemo', () => {
  const METHODS = [null, 'lesa', 'fitted', 'llama-pro', 'neighbour-mean', 'noise'] as const
  const TOKENS = 100

  /** Losses above the base's, in nats per token; each window differs a little, alike for all. */
  const results = (above: readonly number[]): PerplexityResult[] =>
    above.map((more) => {
      const nll = Array.from(
        { length: 20 },
        (_, window) => TOKENS * (1 + more + 0.01 * (window % 5)),
      )
      return {
        model: '/m',
        perplexity: Math.exp(nll.reduce((a, b) => a + b, 0) / (TOKENS * nll.length)),
        tokens: TOKENS * nll.length,
        predicted: TOKENS * nll.length,
        standardError: 0.01,
        window_nll: nll,
        window_tokens: nll.map(() => TOKENS),
        context: 101,
        num_hidden_layers: 18,
        seconds: 1,
      }
    })

  it('says what LESA’s prediction and the fit are worth, whichever way it is', () => {
    const better = readDemo('far.txt', METHODS, results([0, -0.2, -0.5, 0, 0.1, -0.1]))
    expect(better).toMatch(/^- LESA is better than the base and zero \(LLaMA Pro\) by 0\.200/m)
    expect(better).toMatch(/^- LESA is .* better than noise by 0\.100/m)
    expect(better).toMatch(/^- Fitted is better than the base and zero \(LLaMA Pro\) by 0\.500/m)
    const worse = readDemo('far.txt', METHODS, results([0, 0.2, 0.5, 0, 0.1, 0.1]))
    expect(worse).toMatch(/^- LESA is worse than the base and zero \(LLaMA Pro\) by 0\.200/m)
    expect(worse).toMatch(/^- LESA is .* worse than .*noise by 0\.100/m)
    expect(worse).toMatch(/^- Fitted is worse than the base and zero \(LLaMA Pro\) by 0\.500/m)
  })

  it('leads with what matters most, and has no sentence of its own for the yardsticks', () => {
    const lines = readDemo('far.txt', METHODS, results([0, 0.2, -0.5, 0, 0.1, 0.1])).split('\n')
    expect(lines[0]).toContain('Fitted')
    expect(
      lines.filter((line) => /^- (LLaMA Pro|Neighbour mean|Noise control) is/.test(line)),
    ).toEqual([])
  })
})
