import { describe, expect, test } from 'vitest'
import { parseConfig, type ModelConfig } from '../../../../src/main/engine/architectures/config'
import { ARCHITECTURES } from '../../../../src/main/engine/architectures'
import { inverseFrequencies, ropeClass, ropeTables } from '../../../../src/main/engine/decoder/rope'

function config(changes: Record<string, unknown> = {}): ModelConfig {
  const llama = ARCHITECTURES.find(({ modelType }) => modelType === 'llama')
  if (!llama) throw new Error('no llama')
  const raw = {
    hidden_size: 16,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 4,
    max_position_embeddings: 512,
    ...changes,
  }
  return parseConfig(raw, llama.configRules, 'config.json')
}

const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
}

describe('inverseFrequencies', () => {
  test('default: θ^(−2k/d)', () => {
    expect([...inverseFrequencies(config(), 512)]).toEqual([1, 0.1, 0.01, 0.001].map(close))
  })

  test('linear: slower by the factor', () => {
    const scaled = inverseFrequencies(config({ rope_scaling: { type: 'linear', factor: 4 } }), 512)
    expect([...scaled]).toEqual([0.25, 0.025, 0.0025, 0.00025].map(close))
  })

  test('dynamic: the default up to the trained length', () => {
    const dynamic = config({ rope_scaling: { type: 'dynamic', factor: 4 } })
    expect(inverseFrequencies(dynamic, 512)).toEqual(inverseFrequencies(config(), 512))
    expect(inverseFrequencies(dynamic, 513)).not.toEqual(inverseFrequencies(config(), 513))
  })

  test('llama3: as transformers computes it', () => {
    // ROPE_INIT_FUNCTIONS["llama3"] of transformers 5.18 for this config.
    const reference = [1, 0.013042, 0.00125, 0.000125]
    const scaled = inverseFrequencies(config({ rope_scaling: llama3 }), 512)
    reference.forEach((value, index) => expect((scaled[index] ?? NaN) / value).toBeCloseTo(1, 4))
  })

  test('what is described wrongly is refused with the reason', () => {
    for (const [name, changes] of [
      ['longrope', { short_factor: [1], long_factor: [1, 2, 3, 4] }],
      ['longrope', { short_factor: [1, 2, 3, 4] }],
      ['yarn', { factor: -1 }],
      ['dynamic', {}],
    ] as const) {
      const wrong = config({ rope_scaling: { rope_type: name, ...changes } })
      expect(() => inverseFrequencies(wrong, 512)).toThrow(refused(name))
    }
  })

  test('sequences have a class where their length matters', () => {
    const classes = (rope_scaling: unknown): number[] =>
      [1, 512, 513, 600].map((length) => parseInt(ropeClass(config({ rope_scaling }), length)))
    expect(classes({ type: 'linear', factor: 2 })).toEqual([0, 0, 0, 0])
    expect(classes({ type: 'dynamic', factor: 2 })).toEqual([512, 512, 513, 600])
    const factors = { short_factor: [1, 1, 1, 1], long_factor: [1, 1, 1, 1] }
    expect(classes({ type: 'longrope', ...factors })).toEqual([512, 512, 513, 513])
  })

  test('a kind that is not known is refused by name', () => {
    const other = config({ rope_scaling: { rope_type: 'proportional', factor: 4 } })
    expect(() => inverseFrequencies(other, 512)).toThrow(refused('proportional'))
  })
})

test('tables hold one angle per position and pair', () => {
  const { cos, sin } = ropeTables(config(), 3)
  expect(cos).toHaveLength(3 * 4)
  expect([...cos.subarray(0, 4)]).toEqual([1, 1, 1, 1])
  expect(sin[2 * 4 + 1]).toBeCloseTo(Math.sin(0.2), 6)
  expect(cos[2 * 4 + 1]).toBeCloseTo(Math.cos(0.2), 6)
})

function refused(actual: string): unknown {
  return expect.objectContaining({
    code: 'unsupported_architecture',
    context: expect.objectContaining({ field: 'rope_scaling', actual }) as unknown,
  })
}

function close(value: number): unknown {
  return expect.closeTo(value, 7)
}
