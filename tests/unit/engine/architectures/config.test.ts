import { describe, expect, test } from 'vitest'
import { ARCHITECTURES } from '../../../../src/main/engine/architectures'
import { parseConfig, windowOfLayer } from '../../../../src/main/engine/architectures/config'

const base = {
  num_hidden_layers: 4,
  hidden_size: 64,
  intermediate_size: 96,
  num_attention_heads: 4,
  vocab_size: 100,
}

function parse(modelType: string, changes: Record<string, unknown> = {}) {
  const rules = ARCHITECTURES.find((each) => each.modelType === modelType)?.configRules
  if (!rules) throw new Error(`no ${modelType}`)
  return parseConfig({ ...base, ...changes }, rules, 'config.json')
}

describe('defaults', () => {
  test('are those of the reference where the config is silent', () => {
    expect(parse('llama')).toMatchObject({
      numKeyValueHeads: 4,
      headDim: 16,
      rmsNormEps: 1e-6,
      hiddenAct: 'silu',
      tieWordEmbeddings: false,
      attentionBias: false,
      mlpBias: false,
      maxPositionEmbeddings: null,
      rope: { theta: 10000, scaling: { type: 'default' } },
      windows: [null, null, null, null],
    })
    expect(parse('mistral', { num_attention_heads: 32 }).numKeyValueHeads).toBe(8)
    expect(parse('qwen3', { num_key_value_heads: 2 }).headDim).toBe(128)
    expect(parse('phi3')).toMatchObject({ rmsNormEps: 1e-5, windows: [null, null, null, null] })
    expect(parse('mistral', { num_attention_heads: 32 }).windows).toEqual([4096, 4096, 4096, 4096])
  })

  /** Of transformers' configuration classes; a head's size and key-value heads are null where they follow from the rest. */
  const REFERENCE: Record<string, [head: number | null, keyValue: number | null, eps: number]> = {
    llama: [null, null, 1e-6],
    mistral: [null, 8, 1e-6],
    qwen2: [null, 32, 1e-6],
    qwen3: [128, 32, 1e-6],
    phi3: [null, null, 1e-5],
    smollm3: [null, 4, 1e-6],
    granite: [null, null, 1e-6],
    ministral: [null, 8, 1e-6],
    ministral3: [128, 8, 1e-5],
    seed_oss: [128, 8, 1e-6],
    ernie4_5: [128, 2, 1e-5],
    arcee: [null, null, 1e-5],
    hunyuan_v1_dense: [null, null, 1e-5],
    olmo2: [null, null, 1e-5],
    olmo3: [null, null, 1e-5],
    gemma: [256, 16, 1e-6],
    gemma2: [256, 4, 1e-6],
    gemma3_text: [256, 4, 1e-6],
    glm: [128, 2, 1.5625e-7],
    glm4: [128, 2, 1.5625e-7],
    exaone4: [null, 32, 1e-5],
    helium: [128, 20, 1e-8],
    vaultgemma: [256, 4, 1e-6],
    cwm: [128, 8, 1e-5],
    mixtral: [null, 8, 1e-5],
    qwen2_moe: [null, 16, 1e-6],
    qwen3_moe: [null, 4, 1e-6],
    olmoe: [null, null, 1e-5],
    qwen3_5_text: [256, 4, 1e-6],
    qwen3_next: [256, 2, 1e-6],
    falcon_h1: [null, 8, 1e-5],
    gemma4_text: [256, 4, 1e-6],
    lfm2: [null, 8, 1e-5],
  }

  test('every family is looked at', () => {
    expect(Object.keys(REFERENCE).sort()).toEqual(
      ARCHITECTURES.map(({ modelType }) => modelType).sort(),
    )
  })

  test.each(Object.entries(REFERENCE))(
    '%s: a head’s size, key-value heads and epsilon, and what null means',
    (modelType, [head, keyValue, rmsNormEps]) => {
      const heads = 160
      const shape = { num_attention_heads: heads, hidden_size: 4 * heads }
      expect(parse(modelType, shape)).toMatchObject({
        headDim: head ?? 4,
        numKeyValueHeads: keyValue ?? heads,
        rmsNormEps,
      })
      const nulls = { ...shape, head_dim: null, num_key_value_heads: null }
      expect(parse(modelType, nulls)).toMatchObject({ headDim: 4, numKeyValueHeads: heads })
    },
  )

  test('biases, tied embeddings and activations', () => {
    const kv = { num_key_value_heads: 2 }
    const types = Object.keys(REFERENCE)
    const having = (key: 'tieWordEmbeddings' | 'attentionBias' | 'mlpBias') =>
      types.filter((type) => parse(type, kv)[key])
    expect(having('tieWordEmbeddings')).toEqual([
      'smollm3',
      'ernie4_5',
      'gemma',
      'gemma2',
      'gemma3_text',
      'vaultgemma',
      'gemma4_text',
      'lfm2',
    ])
    expect(having('attentionBias')).toEqual(['seed_oss', 'glm', 'glm4', 'qwen2_moe'])
    expect(having('mlpBias')).toEqual([])
    const others = types.filter((type) => parse(type, kv).hiddenAct !== 'silu')
    expect(others).toEqual(['arcee', 'gemma', 'gemma2', 'gemma3_text', 'vaultgemma', 'gemma4_text'])
  })

  test('an explicit null of key-value heads means no grouping', () => {
    const config = { num_attention_heads: 16, num_key_value_heads: null }
    expect(parse('mistral', config).numKeyValueHeads).toBe(16)
  })

  test.each(['llama', 'mistral', 'qwen2', 'qwen3', 'phi3'])(
    '%s takes null for silence, and every bound that means something',
    (modelType) => {
      const heads = { num_key_value_heads: 2 }
      const keys = [
        'rms_norm_eps',
        'tie_word_embeddings',
        'hidden_act',
        'rope_theta',
        'rope_scaling',
        'rope_parameters',
        'layer_types',
        'attention_bias',
        'mlp_bias',
        'torch_dtype',
        'dtype',
        'max_position_embeddings',
      ]
      const nulls = Object.fromEntries(keys.map((key) => [key, null]))
      expect(parse(modelType, { ...heads, ...nulls })).toEqual(parse(modelType, heads))
      const found = parse(modelType, { ...heads, rms_norm_eps: 0, rope_theta: 1 })
      expect(found).toMatchObject({ rmsNormEps: 0, rope: { theta: 1 } })
      for (const torch_dtype of ['torch.bfloat16', 'auto', 'float']) {
        expect(parse(modelType, { ...heads, torch_dtype })).toEqual(parse(modelType, heads))
      }
    },
  )

  test.each(['per_layer_config', 'block_configs'])(
    'layers of different shapes (%s) are refused',
    (key) => {
      expect(() => parse('llama', { [key]: [{}] })).toThrow(
        expect.objectContaining({ code: 'unsupported_architecture' }),
      )
      expect(parse('llama', { [key]: null })).toEqual(parse('llama'))
    },
  )

  test('Gemma’s gelu is the approximation, and its second key is not read', () => {
    const kv = { num_key_value_heads: 2 }
    for (const changes of [{}, { hidden_act: 'gelu' }, { hidden_activation: 'relu' }]) {
      expect(parse('gemma', { ...kv, ...changes }).hiddenAct).toBe('gelu_pytorch_tanh')
    }
    expect(parse('gemma', { ...kv, hidden_act: 'relu' }).hiddenAct).toBe('relu')
  })

  test('a head size may differ from hidden size over heads', () => {
    expect(parse('llama', { head_dim: 24 }).headDim).toBe(24)
  })
})

describe('rotary positions', () => {
  const llama3 = {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  }
  const scaling = {
    type: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  }

  test('are read in the old spelling and in the new one', () => {
    const expected = { theta: 500000, dim: 16, scaling }
    expect(parse('llama', { rope_theta: 500000, rope_scaling: llama3 }).rope).toEqual(expected)
    const inner = { ...llama3, rope_theta: 500000 }
    expect(parse('llama', { rope_parameters: inner }).rope).toEqual(expected)
    expect(parse('llama', { rope_scaling: null, rope_parameters: inner }).rope).toEqual(expected)
  })

  test('take the legacy key `type`, and the model’s length where the original one is missing', () => {
    const { rope_type: type, original_max_position_embeddings: _, ...rest } = llama3
    const config = { max_position_embeddings: 512, rope_scaling: { ...rest, type } }
    expect(parse('llama', config).rope.scaling).toEqual({
      ...scaling,
      originalMaxPositionEmbeddings: 512,
    })
  })

  test.each([
    [
      { rope_type: 'linear', factor: 4 },
      { type: 'linear', factor: 4 },
    ],
    [
      { rope_type: 'dynamic', factor: 4 },
      { type: 'dynamic', factor: 4, maxPositionEmbeddings: 512, alpha: null },
    ],
    [
      { rope_type: 'longrope', long_factor: [1], short_factor: [1] },
      {
        type: 'unsupported',
        name: 'longrope',
        reason: expect.stringContaining('rope_scaling.short_factor') as unknown,
      },
    ],
    [
      { type: 'linear' },
      {
        type: 'unsupported',
        name: 'linear',
        reason: expect.stringContaining('rope_scaling.factor') as unknown,
      },
    ],
    [
      { rope_type: 'llama3', low_freq_factor: 4, high_freq_factor: 1 },
      {
        type: 'unsupported',
        name: 'llama3',
        reason: expect.stringContaining('rope_scaling.high_freq_factor') as unknown,
      },
    ],
    [
      { rope_type: 'proportional', factor: 4 },
      { type: 'unsupported', name: 'proportional' },
    ],
    [{ partial_rotary_factor: 0.5 }, { type: 'unsupported', name: 'partial rotary' }],
    [{ full_attention: { rope_type: 'default' } }, { type: 'unsupported', name: 'by layer type' }],
  ])('%j', (rope_scaling, expected) => {
    const config = { max_position_embeddings: 512, rope_scaling }
    expect(parse('llama', config).rope.scaling).toEqual(expected)
  })

  test('YaRN: the lengths are found wherever they stand, the factor follows from them', () => {
    const original = 'original_max_position_embeddings'
    const read = (outer: object, inner: object): unknown => {
      const { scaling } = parse('llama', {
        max_position_embeddings: 512,
        ...outer,
        rope_scaling: { type: 'yarn', ...inner },
      }).rope
      return scaling.type === 'yarn' && [scaling.factor, scaling.originalMaxPositionEmbeddings]
    }
    expect(read({}, { factor: 4 })).toEqual([4, 512])
    expect(read({}, { factor: 4, [original]: 128 })).toEqual([4, 128])
    expect(read({ [original]: 64 }, { factor: null, [original]: 128 })).toEqual([8, 64])
  })

  test.each(['glm', 'glm4'])(
    'half a head of %s turns, and all of it where that is null',
    (type) => {
      const dim = (changes: Record<string, unknown>): number =>
        parse(type, { head_dim: 16, num_key_value_heads: 2, ...changes }).rope.dim
      expect(dim({})).toBe(8)
      expect(dim({ rope_parameters: { rope_type: 'default' } })).toBe(8)
      expect(dim({ partial_rotary_factor: 0.25 })).toBe(4)
      expect(dim({ partial_rotary_factor: null })).toBe(16)
      const inner = { rope_type: 'default', partial_rotary_factor: 0.25 }
      expect(dim({ partial_rotary_factor: null, rope_parameters: inner })).toBe(4)
    },
  )

  test('Phi-3 has names, a default and part of a head of its own', () => {
    const factors = { short_factor: [1, 2], long_factor: [3, 4] }
    for (const type of ['su', 'yarn', 'longrope']) {
      const config = { max_position_embeddings: 8192, rope_scaling: { type, ...factors } }
      expect(parse('phi3', { ...config, partial_rotary_factor: 0.25 }).rope).toEqual({
        theta: 10_000,
        dim: 4,
        scaling: {
          type: 'longrope',
          shortFactor: [1, 2],
          longFactor: [3, 4],
          factor: 2,
          originalMaxPositionEmbeddings: 4096,
          attentionFactor: null,
        },
      })
    }
  })
})

describe('windows', () => {
  const windows = (modelType: string, changes: Record<string, unknown>) => {
    const config = parse(modelType, { num_key_value_heads: 4, ...changes })
    return [0, 1, 2, 3].map((layer) => windowOfLayer(config, layer))
  }

  test('Llama has none, whatever the config says', () => {
    expect(windows('llama', { sliding_window: 7 })).toEqual([null, null, null, null])
  })

  test('Mistral’s is for all layers; null switches it off, silence means 4096', () => {
    expect(windows('mistral', { sliding_window: 7 })).toEqual([7, 7, 7, 7])
    expect(windows('mistral', { sliding_window: null })).toEqual([null, null, null, null])
    const layer_types = ['sliding_attention', 'full_attention', 'attention', 'sliding_attention']
    expect(windows('mistral', { sliding_window: 7, layer_types })).toEqual([7, null, null, 7])
    expect(windows('mistral', { sliding_window: null, layer_types })).toEqual([
      null,
      null,
      null,
      null,
    ])
    expect(windows('mistral', { sliding_window: 7, layer_types: null })).toEqual([7, 7, 7, 7])
    expect(windows('mistral', {})).toEqual([4096, 4096, 4096, 4096])
  })

  test.each(['qwen2', 'qwen3'])('%s needs it switched on, not just a number', (modelType) => {
    const config = { sliding_window: 7, max_window_layers: 2 }
    expect(windows(modelType, config)).toEqual([null, null, null, null])
    expect(windows(modelType, { ...config, use_sliding_window: true })).toEqual([null, null, 7, 7])
    const layer_types = [
      'sliding_attention',
      'full_attention',
      'full_attention',
      'sliding_attention',
    ]
    expect(windows(modelType, { ...config, use_sliding_window: true, layer_types })).toEqual([
      7,
      null,
      null,
      7,
    ])
    expect(windows(modelType, { ...config, layer_types })).toEqual([null, null, null, null])
  })
})

describe('a malformed field is named with what was expected and found:', () => {
  test.each([
    ['llama', { num_hidden_layers: undefined }, 'num_hidden_layers'],
    ['llama', { num_hidden_layers: '4' }, 'num_hidden_layers'],
    ['llama', { num_hidden_layers: 1e9 }, 'num_hidden_layers'],
    ['llama', { hidden_size: 0 }, 'hidden_size'],
    ['llama', { hidden_size: 63 }, 'hidden_size'],
    ['llama', { intermediate_size: -1 }, 'intermediate_size'],
    ['llama', { vocab_size: 1.5 }, 'vocab_size'],
    ['llama', { num_attention_heads: 0 }, 'num_attention_heads'],
    ['llama', { num_key_value_heads: 3 }, 'num_key_value_heads'],
    ['llama', { head_dim: 15 }, 'head_dim'],
    ['llama', { rms_norm_eps: '1e-5' }, 'rms_norm_eps'],
    ['llama', { rms_norm_eps: -1e-5 }, 'rms_norm_eps'],
    ['llama', { rms_norm_eps: Infinity }, 'rms_norm_eps'],
    ['llama', { num_hidden_layers: Infinity }, 'num_hidden_layers'],
    ['llama', { tie_word_embeddings: 'no' }, 'tie_word_embeddings'],
    ['llama', { hidden_act: 3 }, 'hidden_act'],
    ['llama', { rope_theta: 0 }, 'rope_theta'],
    ['llama', { rope_scaling: 'linear' }, 'rope_scaling'],
    ['mistral', { num_key_value_heads: 4, sliding_window: 0 }, 'sliding_window'],
    ['qwen2', { num_key_value_heads: 4, layer_types: ['full_attention'] }, 'layer_types'],
    ['qwen2', { num_key_value_heads: 4, layer_types: ['a', 'b', 'c', 'd'] }, 'layer_types'],
    ['qwen2', { num_key_value_heads: 4, max_window_layers: -1 }, 'max_window_layers'],
    ['lfm2', { num_key_value_heads: 4, layer_types: ['conv'] }, 'layer_types'],
    ['lfm2', { num_key_value_heads: 4, full_attn_idxs: [], conv_L_cache: 0 }, 'conv_L_cache'],
    ['lfm2', { num_key_value_heads: 4, norm_eps: '1e-5' }, 'norm_eps'],
  ])('%s %j', (modelType, changes, field) => {
    expect(() => parse(modelType, changes)).toThrow(
      expect.objectContaining({
        code: 'bad_checkpoint',
        context: expect.objectContaining({
          file: 'config.json',
          field,
          expected: expect.any(String) as string,
          actual: expect.any(String) as string,
        }) as object,
      }),
    )
  })
})

describe('layers that differ', () => {
  const kv = { num_key_value_heads: 4 }

  test('SmolLM3: a 1 in no_rope_layers means positions; every fourth layer has none by default', () => {
    expect(parse('smollm3', kv).layerRopes).toEqual(['main', 'main', 'main', 'none'])
    expect(parse('smollm3', { ...kv, no_rope_layer_interval: 2 }).layerRopes).toEqual([
      'main',
      'none',
      'main',
      'none',
    ])
    const listed = parse('smollm3', { ...kv, no_rope_layers: [0, 1, 0, 1, 1, 1] })
    expect(listed.layerRopes).toEqual(['none', 'main', 'none', 'main'])
    const windowed = { ...kv, use_sliding_window: true, sliding_window: 7 }
    expect(parse('smollm3', windowed).windows).toEqual([null, null, null, 7])
    const layer_types = ['full_attention', 'sliding_attention', 'full_attention', 'full_attention']
    const typed = { ...windowed, use_sliding_window: false, layer_types }
    expect(parse('smollm3', typed).windows).toEqual([null, 7, null, null])
    expect(parse('smollm3', { ...typed, sliding_window: null }).windows).toEqual([
      null,
      null,
      null,
      null,
    ])
  })

  test('EXAONE 4 has positions where it has a window, and everywhere without one', () => {
    expect(parse('exaone4', { ...kv, sliding_window: 7 })).toMatchObject({
      windows: [7, 7, 7, null],
      layerRopes: ['main', 'main', 'main', 'none'],
    })
    expect(
      parse('exaone4', { ...kv, sliding_window: 7, sliding_window_pattern: 'LG' }),
    ).toMatchObject({ windows: [7, null, 7, null] })
    expect(parse('exaone4', { ...kv, sliding_window: null }).layerRopes).toEqual(
      Array<string>(4).fill('main'),
    )
  })

  test('Gemma 3 and OLMo 3 have angles of their own where they have a window', () => {
    const older = { ...kv, rope_theta: 5e5, rope_local_base_freq: 2e4 }
    const rope_scaling = { rope_type: 'linear', factor: 8 }
    const layer_types = [
      'sliding_attention',
      'full_attention',
      'sliding_attention',
      'full_attention',
    ]
    expect(parse('gemma3_text', { ...older, rope_scaling, layer_types })).toMatchObject({
      rope: { theta: 5e5, scaling: { type: 'linear', factor: 8 } },
      localRope: { theta: 2e4, scaling: { type: 'default' } },
      layerRopes: ['local', 'main', 'local', 'main'],
    })
    expect(parse('gemma3_text', kv)).toMatchObject({
      rope: { theta: 1e6 },
      localRope: { theta: 1e4 },
    })
    const rope_parameters = {
      full_attention: { ...rope_scaling, rope_theta: 3e5 },
      sliding_attention: { rope_type: 'default', rope_theta: 7e3 },
    }
    expect(parse('olmo3', { ...kv, rope_parameters, layer_types })).toMatchObject({
      rope: { theta: 3e5, scaling: { type: 'linear', factor: 8 } },
      localRope: { theta: 7e3, scaling: { type: 'default' } },
    })
  })

  test('LFM2: listed layers attend, or those that the types say; without either, all do', () => {
    const attending = (changes: Record<string, unknown>): number[] => {
      const { convolution } = parse('lfm2', { ...kv, ...changes })
      return [0, 1, 2, 3].filter((layer) => convolution?.isConvolution[layer] !== true)
    }
    expect(attending({})).toEqual([0, 1, 2, 3])
    expect(parse('lfm2', kv).convolution).toBeNull()
    expect(attending({ full_attn_idxs: [2] })).toEqual([2])
    const layer_types = ['conv', 'attention', 'conv', 'full_attention']
    expect(attending({ layer_types, full_attn_idxs: [0] })).toEqual([1, 3])
    expect(parse('lfm2', { ...kv, full_attn_idxs: [], conv_L_cache: 4 }).convolution).toEqual({
      taps: 4,
      hasBias: false,
      isConvolution: [true, true, true, true],
    })
    const bad = { ...kv, layer_types: [...layer_types.slice(1), 'sliding_attention'] }
    expect(() => parse('lfm2', bad)).toThrow(/layer_types should be only full_attention and conv/)
    expect(() => parse('lfm2', { ...kv, full_attn_idxs: 2 })).toThrow(/full_attn_idxs.*a list/)
  })

  test('LFM2’s MLP is two thirds of what the config says, times a factor, up to a multiple', () => {
    const size = (changes: Record<string, unknown>): number =>
      parse('lfm2', { ...kv, ...changes }).intermediateSize
    expect(size({})).toBe(256)
    expect(size({ block_ff_dim: 12_288 })).toBe(8192)
    expect(size({ block_ff_dim: 6656 })).toBe(4608)
    expect(size({ block_multiple_of: 10, block_ffn_dim_multiplier: 1.3 })).toBe(90)
    expect(size({ block_ffn_dim_multiplier: null })).toBe(64)
    expect(size({ block_auto_adjust_ff_dim: false })).toBe(96)
    expect(size({ block_auto_adjust_ff_dim: false, block_ff_dim: 7 })).toBe(7)
  })

  test('LFM2 is tied unless either key says otherwise, the older one first', () => {
    const isTied = (changes: Record<string, unknown>): boolean =>
      parse('lfm2', { ...kv, ...changes }).tieWordEmbeddings
    expect(isTied({})).toBe(true)
    expect(isTied({ tie_word_embeddings: false })).toBe(false)
    expect(isTied({ tie_word_embeddings: true, tie_embedding: false })).toBe(false)
    expect(isTied({ tie_word_embeddings: false, tie_embedding: true })).toBe(true)
  })

  test('tokens that see those after them are refused', () => {
    expect(() => parse('gemma2', { ...kv, use_bidirectional_attention: true })).toThrow(
      expect.objectContaining({ code: 'unsupported_architecture' }),
    )
  })
})

describe('scales', () => {
  test('are 1, and scores go by the size of a head, where a family has none', () => {
    expect(parse('llama').scales).toEqual({
      embeddings: 1,
      residual: 1,
      queries: 0.25,
      logits: 1,
      attentionCap: null,
      projectionBound: null,
      logitCap: null,
    })
  })

  test('Gemma’s follow the hidden size and the config, a cap of null is none', () => {
    const config = { num_key_value_heads: 4, query_pre_attn_scalar: 64 }
    expect(parse('gemma2', config).scales).toMatchObject({
      embeddings: 8,
      queries: 0.125,
      attentionCap: 50,
      logitCap: 30,
    })
    const uncapped = { attn_logit_softcapping: null, final_logit_softcapping: null }
    expect(parse('gemma2', { ...config, ...uncapped }).scales).toMatchObject({
      attentionCap: null,
      logitCap: null,
    })
    expect(parse('gemma3_text', { ...config, attn_logit_softcapping: 5 }).scales).toMatchObject({
      attentionCap: null,
    })
  })

  test('Granite divides its logits', () => {
    expect(parse('granite', { logits_scaling: 8, residual_multiplier: 0.22 }).scales).toMatchObject(
      {
        logits: 0.125,
        residual: 0.22,
      },
    )
  })
})
