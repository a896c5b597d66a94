import { describe, expect, test } from 'vitest'
import { ARCHITECTURES, architectureOf } from '../../../../src/main/engine/architectures'
import {
  defineArchitecture,
  elementsOf,
  partsOf,
  type Architecture,
} from '../../../../src/main/engine/architectures/Architecture'
import { linear } from '../../../../src/main/engine/architectures/llamaShape'
import { unknownLists } from '../../../../src/main/engine/architectures/deepenConfig'
import { WEIGHT_TYPES } from '../../../support/weightTypes'
import { parseConfig } from '../../../../src/main/engine/architectures/config'

function architecture(modelType: string): Architecture {
  return architectureOf({ model_type: modelType }, 'config.json')
}

const FULL = 'full_attention'
const SLIDING = 'sliding_attention'

/** Layers 0 … 3, with a new one after layer 1 and one after layer 2. */
const SOURCES = [0, 1, 1, 2, 2, 3]

describe('architectureOf', () => {
  test.each(ARCHITECTURES.map(({ modelType }) => modelType))(
    'knows %s by either name',
    (modelType) => {
      const found = architecture(modelType)
      const { architectureName } = found
      expect(architectureOf({ architectures: [architectureName] }, '')).toBe(found)
      expect(architectureOf({ architectures: [architectureName], model_type: modelType }, '')).toBe(
        found,
      )
    },
  )

  test.each([
    { model_type: 'mamba', architectures: ['MambaForCausalLM'] },
    { model_type: 'llama', architectures: ['LlamaForSequenceClassification'] },
    { model_type: 'qwen2_vl', architectures: ['Qwen2ForCausalLM'] },
    { architectures: 'LlamaForCausalLM' },
    {},
  ])('refuses %j and says what is supported', (rawConfig) => {
    expect(() => architectureOf(rawConfig, 'config.json')).toThrow(
      expect.objectContaining({
        code: 'unsupported_architecture',
        hint: expect.stringMatching(/Supported are Arcee, .*Llama, .*Qwen2, .*Qwen3, /) as string,
      }),
    )
  })
})

describe('layerTensors', () => {
  const suffixes = (modelType: string, changes: Record<string, unknown> = {}) => {
    const found = architecture(modelType)
    const raw = {
      num_hidden_layers: 1,
      hidden_size: 64,
      intermediate_size: 96,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 24,
      vocab_size: 10,
      ...changes,
    }
    const tensors = found.layerTensors(parseConfig(raw, found.configRules, ''), 0)
    return new Map(tensors.map(({ suffix, shape }) => [suffix, shape]))
  }
  const plain = [
    'self_attn.q_proj.weight',
    'self_attn.k_proj.weight',
    'self_attn.v_proj.weight',
    'self_attn.o_proj.weight',
    'mlp.gate_proj.weight',
    'mlp.up_proj.weight',
    'mlp.down_proj.weight',
    'input_layernorm.weight',
    'post_attention_layernorm.weight',
  ]

  test('Llama: shapes follow heads and head size, biases the flags', () => {
    const tensors = suffixes('llama')
    expect([...tensors.keys()]).toEqual(plain)
    expect(tensors.get('self_attn.q_proj.weight')).toEqual([96, 64])
    expect(tensors.get('self_attn.k_proj.weight')).toEqual([48, 64])
    expect(tensors.get('self_attn.o_proj.weight')).toEqual([64, 96])
    expect(tensors.get('mlp.down_proj.weight')).toEqual([64, 96])
    const biased = suffixes('llama', { attention_bias: true, mlp_bias: true })
    expect([...biased.keys()].filter((name) => name.endsWith('.bias'))).toEqual(
      plain.slice(0, 7).map((name) => name.replace('.weight', '.bias')),
    )
    expect(biased.get('self_attn.k_proj.bias')).toEqual([48])
    expect(biased.get('mlp.down_proj.bias')).toEqual([64])
  })

  test('Mistral has no biases, whatever the config says', () => {
    expect([...suffixes('mistral', { attention_bias: true, mlp_bias: true }).keys()]).toEqual(plain)
  })

  test('Qwen2 always has query, key and value biases, never an output bias', () => {
    const biases = ['q', 'k', 'v'].map((each) => `self_attn.${each}_proj.bias`)
    expect([...suffixes('qwen2').keys()].filter((name) => name.endsWith('.bias'))).toEqual(biases)
  })

  test('Qwen3 has norms of head size on queries and keys', () => {
    expect(suffixes('qwen3').get('self_attn.q_norm.weight')).toEqual([24])
    expect(suffixes('qwen3').get('self_attn.k_norm.weight')).toEqual([24])
    expect(suffixes('qwen3', { attention_bias: true }).has('self_attn.o_proj.bias')).toBe(true)
  })
})

const config = (modelType: string, changes: Record<string, unknown> = {}) => {
  const raw = {
    num_hidden_layers: 1,
    hidden_size: 64,
    intermediate_size: 96,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 24,
    vocab_size: 10,
    // LFM2's MLP is not of the size that its config says, unless it says so.
    block_auto_adjust_ff_dim: false,
    ...changes,
  }
  return parseConfig(raw, architecture(modelType).configRules, '')
}

describe('slots', () => {
  /** Those whose layers have what others do not are looked at with models of theirs: `families/grownOnly.test.ts`. */
  const usual = ARCHITECTURES.filter((each) => each.forward.missing === undefined)
  const dense = usual.filter((each) => each.configRules.experts === null)

  test.each(dense)('of $modelType are the seven matrices, in one order', (each) => {
    const shapes = [
      [96, 64],
      [48, 64],
      [48, 64],
      [64, 96],
      [96, 64],
      [96, 64],
      [64, 96],
    ]
    const has = (id: string): boolean => each.modelType !== 'arcee' || id !== 'gate_proj'
    const slots = each.slotsOf(config(each.modelType), 0)
    expect(slots.map(({ id }) => id)).toEqual(WEIGHT_TYPES.filter(has))
    expect(slots.map(({ weight }) => weight.shape)).toEqual(
      shapes.filter((_, index) => has(WEIGHT_TYPES[index]!)),
    )
  })

  test.each(usual.filter((each) => !dense.includes(each)))(
    'of $modelType are four of attention and three of each expert',
    (each) => {
      const changes = { num_experts: 8, moe_intermediate_size: 40, num_experts_per_tok: 2 }
      const slots = each.slotsOf(config(each.modelType, changes), 0)
      const own = slots.filter(({ id }) => id.startsWith('experts.'))
      expect(slots.slice(0, 4).map(({ id }) => id)).toEqual(WEIGHT_TYPES.slice(0, 4))
      expect(own).toHaveLength(3 * 8)
      for (const id of ['experts.gate_proj', 'experts.up_proj', 'experts.down_proj']) {
        const experts = own.filter((slot) => slot.id === id).map(({ expert }) => expert)
        expect(experts).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      }
    },
  )

  test('of OLMo have a gain where a norm goes over all of their rows', () => {
    const slots = architecture('olmo2').slotsOf(config('olmo2'), 0)
    expect(slots.flatMap(({ id, gain }) => (gain ? [[id, gain]] : []))).toEqual([
      ['q_proj', { tensor: 'self_attn.q_norm.weight', offset: 0, shape: [96] }],
      ['k_proj', { tensor: 'self_attn.k_norm.weight', offset: 0, shape: [48] }],
    ])
  })

  test('of LFM2 are those of attention, or the four of a convolution around its kernel', () => {
    const lfm2 = architecture('lfm2')
    const changes = { full_attn_idxs: [], conv_bias: true, conv_L_cache: 4 }
    const known = config('lfm2', changes)
    expect(
      lfm2
        .slotsOf(known, 0)
        .map(({ id, weight, bias }) => [
          id,
          weight.tensor,
          weight.offset / 64,
          bias?.offset ?? null,
        ]),
    ).toEqual([
      ['conv.b_proj', 'conv.in_proj.weight', 0, 0],
      ['conv.c_proj', 'conv.in_proj.weight', 64, 64],
      ['conv.x_proj', 'conv.in_proj.weight', 128, 128],
      ['conv.out_proj', 'conv.out_proj.weight', 0, 0],
      ['gate_proj', 'feed_forward.w1.weight', 0, null],
      ['up_proj', 'feed_forward.w3.weight', 0, null],
      ['down_proj', 'feed_forward.w2.weight', 0, null],
    ])
    const kernel = lfm2.layerTensors(known, 0).filter(({ suffix }) => suffix.includes('conv.conv'))
    expect(kernel).toEqual([
      { suffix: 'conv.conv.weight', role: 'kernel', shape: [64, 1, 4] },
      { suffix: 'conv.conv.bias', role: 'bias', shape: [64] },
    ])
    expect(lfm2.residualScales(known, 0)).toEqual([
      'conv.out_proj.weight',
      'conv.out_proj.bias',
      'feed_forward.w2.weight',
    ])
  })

  test.each(ARCHITECTURES)('of $modelType cover every weight, and nothing twice', (each) => {
    const known = config(each.modelType, { attention_bias: true, mlp_bias: true })
    const slots = each.slotsOf(known, 0)
    for (const { suffix, role, shape } of each.layerTensors(known, 0)) {
      if (role !== 'weight' && role !== 'bias') continue
      const end = partsOf(slots, role, suffix).reduce((at, { span }) => {
        expect(span.offset).toBe(at)
        return at + elementsOf(span.shape)
      }, 0)
      expect(end, suffix).toBe(elementsOf(shape))
    }
  })

  test('of Phi-3 are rows of fused tensors: q, k, v, then gate, up', () => {
    const places = architecture('phi3')
      .slotsOf(config('phi3'), 0)
      .map(({ weight }) => [weight.tensor, weight.offset / (weight.shape[1] ?? NaN)])
    expect(places).toEqual([
      ['self_attn.qkv_proj.weight', 0],
      ['self_attn.qkv_proj.weight', 96],
      ['self_attn.qkv_proj.weight', 96 + 48],
      ['self_attn.o_proj.weight', 0],
      ['mlp.gate_up_proj.weight', 0],
      ['mlp.gate_up_proj.weight', 96],
      ['mlp.down_proj.weight', 0],
    ])
  })

  test('have biases where the projection has one: their rows of it', () => {
    const fused = defineArchitecture({
      ...architecture('llama'),
      modules: [linear('attn.qk', ['q_proj', 'k_proj'], 'always'), linear('attn.o', ['o_proj'])],
    })
    expect(fused.slotsOf(config('llama'), 0).map(({ id, bias }) => [id, bias])).toEqual([
      ['q_proj', { tensor: 'attn.qk.bias', offset: 0, shape: [96] }],
      ['k_proj', { tensor: 'attn.qk.bias', offset: 96, shape: [48] }],
      ['o_proj', null],
    ])
  })
})

test('a model of Phi-3 is laid out as the reference declares it', () => {
  const raw = {
    num_hidden_layers: 1,
    hidden_size: 64,
    intermediate_size: 96,
    num_attention_heads: 4,
    vocab_size: 10,
  }
  const phi3 = architecture('phi3')
  expect(phi3.layerTensors(parseConfig(raw, phi3.configRules, ''), 0)).toEqual([
    { suffix: 'self_attn.o_proj.weight', role: 'weight', shape: [64, 64] },
    { suffix: 'self_attn.qkv_proj.weight', role: 'weight', shape: [3 * 64, 64] },
    { suffix: 'mlp.gate_up_proj.weight', role: 'weight', shape: [2 * 96, 64] },
    { suffix: 'mlp.down_proj.weight', role: 'weight', shape: [64, 96] },
    { suffix: 'input_layernorm.weight', role: 'norm', shape: [64] },
    { suffix: 'post_attention_layernorm.weight', role: 'norm', shape: [64] },
  ])
})

/** Of the first layer. */
function scalesOf(modelType: string): readonly string[] {
  return architecture(modelType).residualScales(config(modelType), 0)
}

test('a LLaMA Pro block silences both writers to the residual stream, and their biases', () => {
  const weights = ['self_attn.o_proj.weight', 'mlp.down_proj.weight']
  expect(scalesOf('mistral')).toEqual(weights)
  expect(scalesOf('qwen2')).toEqual(weights)
  expect(scalesOf('phi3')).toEqual(weights)
  expect(scalesOf('llama')).toEqual([
    'self_attn.o_proj.weight',
    'self_attn.o_proj.bias',
    'mlp.down_proj.weight',
    'mlp.down_proj.bias',
  ])
})

test('where norms stand behind the writers, they are silenced: at a gain of zero', () => {
  const norms = ['post_attention_layernorm.weight', 'post_feedforward_layernorm.weight']
  expect(scalesOf('olmo2')).toEqual(norms)
  expect(architecture('olmo2').silentValue(norms[0]!)).toBe(0)
  expect(scalesOf('gemma3_text')).toEqual(norms)
  expect(architecture('gemma3_text').silentValue(norms[0]!)).toBe(-1)
  expect(scalesOf('glm4')).toEqual(['post_self_attn_layernorm.weight', 'post_mlp_layernorm.weight'])
  expect(architecture('llama').hasPostNorms).toBe(false)
  expect(architecture('llama').silentValue('mlp.down_proj.weight')).toBe(0)
})

/** Without the lists that the family goes by, which are spelled out where a loader would not make the same. */
function withoutOwnLists(
  deepened: Readonly<Record<string, unknown>>,
  { configRules }: Architecture,
): Record<string, unknown> {
  const own = Object.keys(configRules.layerLists)
  return Object.fromEntries(Object.entries(deepened).filter(([key]) => !own.includes(key)))
}

describe('deepenConfig', () => {
  test.each(ARCHITECTURES)('$modelType: keeps keys, order and spellings', (each) => {
    const raw = {
      architectures: [each.architectureName],
      model_type: each.modelType,
      num_hidden_layers: 4,
      rope_theta: 1e6,
      rope_scaling: { type: 'linear', factor: 2 },
      torch_dtype: 'bfloat16',
      eos_token_id: [1, 2, 3, 4],
      sliding_window: 16,
      something_new: { list: [1, 2, 3, 4] },
    }
    const copy = structuredClone(raw)
    const deepened = each.deepenConfig(raw, SOURCES)
    expect(withoutOwnLists(deepened, each)).toEqual({ ...raw, num_hidden_layers: 6 })
    expect(Object.keys(withoutOwnLists(deepened, each))).toEqual(Object.keys(raw))
    expect(raw).toEqual(copy)
  })

  test.each(ARCHITECTURES)(
    '$modelType: lists with an entry per layer follow the layers',
    (each) => {
      const raw = {
        num_hidden_layers: 4,
        layer_types: [FULL, SLIDING, FULL, SLIDING],
        no_rope_layers: [1, 1, 0, 1],
        other: [1, 2, 3],
      }
      expect(each.deepenConfig(raw, SOURCES)).toEqual({
        num_hidden_layers: 6,
        layer_types: [FULL, SLIDING, SLIDING, FULL, FULL, SLIDING],
        no_rope_layers: [1, 1, 1, 0, 0, 1],
        other: [1, 2, 3],
      })
    },
  )

  const ALIKE = {
    stop_strings: ['a', 'b', 'c', 'd'],
    languages: ['de', 'en', 'fr', 'it'],
    bad_words_ids: [[1], [2], [3], [4]],
    eos_token_id: [1, 2, 3, 4],
    suppress_tokens: [1, 2, 3, 4],
    architectures: ['A', 'B', 'C', 'D'],
    rope_scaling: { short_factor: [1, 2, 3, 4], long_factor: [1, 2, 3, 4] },
    tags: ['a', 'b', 'c', 'd'],
    modules_to_not_convert: ['a', 'b', 'c', 'd'],
  }

  test.each(ARCHITECTURES)('$modelType: other lists of that length stay as they are', (each) => {
    const raw = { num_hidden_layers: 4, ...ALIKE, unheard_of: [1, 2, 3, 4] }
    expect(withoutOwnLists(each.deepenConfig(raw, SOURCES), each)).toEqual({
      ...raw,
      num_hidden_layers: 6,
    })
    expect(unknownLists(raw, each.configRules)).toEqual(['unheard_of'])
    const layers = { layer_types: [0, 0, 0, 0], mlp_only_layers: [0, 1, 2, 3], other: [1, 2, 3] }
    expect(unknownLists({ num_hidden_layers: 4, ...layers }, each.configRules)).toEqual([])
  })

  test.each(ARCHITECTURES)(
    '$modelType: every new layer has the window and the positions of its source',
    (each) => {
      const raw = {
        num_hidden_layers: 8,
        hidden_size: 64,
        intermediate_size: 96,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        vocab_size: 10,
        sliding_window: 5,
        use_sliding_window: true,
        max_window_layers: 3,
      }
      const sources = [0, 1, 1, 2, 3, 3, 4, 5, 6, 7, 7]
      const before = parseConfig(raw, each.configRules, '')
      const after = parseConfig(each.deepenConfig(raw, sources), each.configRules, '')
      expect(after.windows).toEqual(sources.map((source) => before.windows[source]))
      expect(after.layerRopes).toEqual(sources.map((source) => before.layerRopes[source]))
    },
  )

  test.each([
    ['gemma2', 'layer_types', [SLIDING, FULL, SLIDING, FULL]],
    ['olmo3', 'layer_types', [SLIDING, SLIDING, SLIDING, FULL]],
    ['gemma3_text', 'layer_types', [SLIDING, SLIDING, SLIDING, SLIDING]],
    ['exaone4', 'layer_types', [SLIDING, SLIDING, SLIDING, FULL]],
    ['smollm3', 'no_rope_layers', [1, 1, 1, 0]],
  ])('%s: what its period made of %s is spelled out', (modelType, key, list) => {
    const deepened = architecture(modelType).deepenConfig({ num_hidden_layers: 4 }, SOURCES)
    expect(deepened[key]).toEqual(SOURCES.map((source) => list[source]))
  })

  test('LFM2: the layers that attend are named at their new places, and the types spelled out', () => {
    const lfm2 = architecture('lfm2')
    expect(lfm2.deepenConfig({ num_hidden_layers: 4, full_attn_idxs: [2] }, SOURCES)).toEqual({
      num_hidden_layers: 6,
      full_attn_idxs: [3, 4],
      layer_types: ['conv', 'conv', 'conv', FULL, FULL, 'conv'],
    })
    const layer_types = ['conv', 'attention', 'conv', 'conv']
    expect(lfm2.deepenConfig({ num_hidden_layers: 4, layer_types }, SOURCES)).toEqual({
      num_hidden_layers: 6,
      layer_types: SOURCES.map((source) => layer_types[source]),
    })
    expect(lfm2.deepenConfig({ num_hidden_layers: 4 }, SOURCES)).toEqual({ num_hidden_layers: 6 })
  })

  test('lists of layer indices name the layers’ new places', () => {
    const raw = { num_hidden_layers: 4, mlp_only_layers: [1, 3] }
    expect(architecture('llama').deepenConfig(raw, SOURCES)['mlp_only_layers']).toEqual([1, 2, 5])
  })

  describe.each(['qwen2', 'qwen3'])('%s with a window', (modelType) => {
    const deepen = (changes: Record<string, unknown>, sources: readonly number[]) => {
      const raw = { num_hidden_layers: 4, use_sliding_window: true, sliding_window: 8, ...changes }
      const { layer_types, max_window_layers } = architecture(modelType).deepenConfig(raw, sources)
      return { layer_types, max_window_layers }
    }

    test('spells out the types, and moves the layer number so that older loaders agree', () => {
      expect(deepen({ max_window_layers: 2 }, SOURCES)).toEqual({
        layer_types: [FULL, FULL, FULL, SLIDING, SLIDING, SLIDING],
        max_window_layers: 3,
      })
    })

    test('keeps every layer’s own type where the layer number cannot say it', () => {
      expect(deepen({ max_window_layers: 2 }, [0, 1, 2, 3, 0, 1, 2, 3])).toEqual({
        layer_types: [FULL, FULL, SLIDING, SLIDING, FULL, FULL, SLIDING, SLIDING],
        max_window_layers: 2,
      })
    })

    test('lets no layer slip behind the number when none slides', () => {
      expect(deepen({ max_window_layers: 4 }, SOURCES)).toEqual({
        layer_types: Array<string>(6).fill(FULL),
        max_window_layers: 6,
      })
      expect(deepen({}, SOURCES).max_window_layers).toBe(28)
    })

    test('follows an explicit list rather than the number', () => {
      const layer_types = [SLIDING, SLIDING, FULL, FULL]
      expect(deepen({ max_window_layers: 2, layer_types }, SOURCES)).toEqual({
        layer_types: [SLIDING, SLIDING, SLIDING, FULL, FULL, FULL],
        max_window_layers: 0,
      })
    })

    test('gives a config in which every new layer has its source’s window', () => {
      const found = architecture(modelType)
      const raw = {
        num_hidden_layers: 4,
        hidden_size: 64,
        intermediate_size: 96,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        vocab_size: 10,
        use_sliding_window: true,
        sliding_window: 8,
        max_window_layers: 3,
      }
      const before = parseConfig(raw, found.configRules, '')
      const after = parseConfig(found.deepenConfig(raw, SOURCES), found.configRules, '')
      expect(after.windows).toEqual(SOURCES.map((source) => before.windows[source]))
    })
  })

  test('of a model that holds its decoder under a key of its own changes what is there', () => {
    const inner = defineArchitecture({
      ...architecture('qwen2'),
      config: { ...architecture('qwen2').config, path: 'text_config' },
    })
    const text_config = {
      num_hidden_layers: 4,
      hidden_size: 64,
      intermediate_size: 96,
      num_attention_heads: 4,
      num_key_value_heads: 4,
      vocab_size: 10,
      layer_types: [FULL, SLIDING, FULL, SLIDING],
    }
    const raw = { model_type: 'qwen2', text_config, vision_config: { num_hidden_layers: 2 } }
    expect(parseConfig(raw, inner.configRules, '').numHiddenLayers).toBe(4)
    expect(inner.deepenConfig(raw, SOURCES)).toEqual({
      ...raw,
      text_config: {
        ...text_config,
        num_hidden_layers: 6,
        layer_types: [FULL, SLIDING, SLIDING, FULL, FULL, SLIDING],
      },
    })
    expect(() => parseConfig({ model_type: 'qwen2' }, inner.configRules, 'c.json')).toThrow(
      expect.objectContaining({ code: 'bad_checkpoint' }),
    )
  })

  test('refuses layers that the model does not have', () => {
    const raw = { num_hidden_layers: 4 }
    for (const sources of [[], [0, 4], [-1], [0.5]]) {
      expect(() => architecture('llama').deepenConfig(raw, sources)).toThrow(
        expect.objectContaining({ code: 'bug' }),
      )
    }
  })
})
