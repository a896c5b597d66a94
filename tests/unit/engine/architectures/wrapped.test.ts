import { describe, expect, test } from 'vitest'
import { architectureOf, WRAPPERS } from '../../../../src/main/engine/architectures'
import { parseConfig, type ModelConfig } from '../../../../src/main/engine/architectures/config'

const FILE = 'config.json'

function parsed(raw: Record<string, unknown>): ModelConfig {
  return parseConfig(raw, architectureOf(raw, FILE).configRules, FILE)
}

function deepened(
  raw: Record<string, unknown>,
  sources: readonly number[],
): Record<string, unknown> & { readonly text_config: Record<string, unknown> } {
  return architectureOf(raw, FILE).deepenConfig(raw, sources) as ReturnType<typeof deepened>
}

/** What the configs of published models say of their decoders. */
const PUBLISHED: readonly (readonly [
  name: string,
  raw: Record<string, unknown>,
  expected: Partial<ModelConfig>,
])[] = [
  [
    'Gemma 3 4B, which leaves out what is as by default',
    {
      model_type: 'gemma3',
      architectures: ['Gemma3ForConditionalGeneration'],
      text_config: {
        hidden_size: 2560,
        intermediate_size: 10240,
        model_type: 'gemma3_text',
        num_hidden_layers: 34,
        rope_scaling: { factor: 8, rope_type: 'linear' },
        sliding_window: 1024,
      },
      torch_dtype: 'bfloat16',
      vision_config: {},
    },
    {
      vocabSize: 262_208,
      numAttentionHeads: 8,
      numKeyValueHeads: 4,
      headDim: 256,
      tieWordEmbeddings: true,
      maxPositionEmbeddings: 131_072,
      rope: { theta: 1_000_000, dim: 256, scaling: { type: 'linear', factor: 8 } },
    },
  ],
  [
    'LLaVA 1.5 7B, of whose Vicuna little is said',
    {
      model_type: 'llava',
      architectures: ['LlavaForConditionalGeneration'],
      text_config: {
        architectures: ['LlamaForCausalLM'],
        max_position_embeddings: 4096,
        model_type: 'llama',
        rms_norm_eps: 1e-5,
        vocab_size: 32_064,
      },
    },
    {
      numHiddenLayers: 32,
      hiddenSize: 4096,
      intermediateSize: 11_008,
      numKeyValueHeads: 32,
      vocabSize: 32_064,
      maxPositionEmbeddings: 4096,
      tieWordEmbeddings: false,
    },
  ],
  [
    'Qwen2.5-VL 7B, with the decoder’s keys at the top',
    {
      model_type: 'qwen2_5_vl',
      architectures: ['Qwen2_5_VLForConditionalGeneration'],
      hidden_size: 3584,
      intermediate_size: 18_944,
      max_position_embeddings: 128_000,
      max_window_layers: 28,
      num_attention_heads: 28,
      num_hidden_layers: 28,
      num_key_value_heads: 4,
      rms_norm_eps: 1e-6,
      rope_theta: 1e6,
      sliding_window: 32_768,
      tie_word_embeddings: false,
      use_sliding_window: false,
      rope_scaling: { type: 'mrope', mrope_section: [16, 24, 24] },
      vocab_size: 152_064,
      vision_config: {},
    },
    {
      numHiddenLayers: 28,
      rope: { theta: 1e6, dim: 128, scaling: { type: 'default' } },
      windows: Array<null>(28).fill(null),
    },
  ],
  [
    'Qwen3-VL 2B',
    {
      model_type: 'qwen3_vl',
      architectures: ['Qwen3VLForConditionalGeneration'],
      text_config: {
        attention_bias: false,
        head_dim: 128,
        hidden_size: 2048,
        intermediate_size: 6144,
        max_position_embeddings: 262_144,
        model_type: 'qwen3_vl_text',
        num_attention_heads: 16,
        num_hidden_layers: 28,
        num_key_value_heads: 8,
        rms_norm_eps: 1e-6,
        rope_scaling: {
          mrope_interleaved: true,
          mrope_section: [24, 20, 20],
          rope_type: 'default',
        },
        rope_theta: 5e6,
        vocab_size: 151_936,
      },
      tie_word_embeddings: true,
    },
    {
      tieWordEmbeddings: true,
      rope: { theta: 5e6, dim: 128, scaling: { type: 'default' } },
    },
  ],
]

describe('a decoder inside a model that sees', () => {
  test.each(PUBLISHED)('%s: is read as the reference reads it', (_, raw, expected) => {
    expect(parsed(raw)).toMatchObject(expected)
  })

  test.each(WRAPPERS.map(({ modelType, architectureName }) => [modelType, architectureName]))(
    '%s is known by either name',
    (modelType, architectureName) => {
      for (const names of [{ model_type: modelType }, { architectures: [architectureName] }]) {
        const found = architectureOf({ ...names, text_config: {} }, FILE)
        expect(found).toMatchObject({ modelType, architectureName })
        expect(found.wrapping?.layouts[0]).toEqual(found.names)
      }
    },
  )

  const text = { model_type: 'qwen2', tie_word_embeddings: true }
  test.each([
    ['llava', {}, true],
    ['llava', { tie_word_embeddings: false }, true],
    ['llava_onevision', {}, true],
    ['llava_next', {}, false],
    ['llava_next', { tie_word_embeddings: true }, true],
    ['internvl', {}, true],
    ['internvl', { tie_word_embeddings: false }, false],
    ['mistral3', {}, true],
    ['qwen3_vl', {}, false],
    ['qwen2_5_vl', {}, true],
    ['idefics3', {}, false],
  ])('of %s with %j at the top is tied where the reference ties it', (type, top, isTied) => {
    expect(parsed({ model_type: type, text_config: text, ...top }).tieWordEmbeddings).toBe(isTied)
  })

  test('has its logits from the outer model, which neither scales nor bounds them', () => {
    const granite = { model_type: 'granite', embedding_multiplier: 3, logits_scaling: 2.5 }
    const { scales } = parsed({ model_type: 'llava_next', text_config: granite })
    expect(scales).toMatchObject({ embeddings: 3, logits: 1 })
    const bounded = { final_logit_softcapping: 3 }
    expect(parsed({ model_type: 'gemma3', text_config: bounded }).scales.logitCap).toBe(null)
  })
})

describe('the deeper config of one', () => {
  test('has the depth in the decoder’s part, and says it where it was left to the loader', () => {
    const raw = { model_type: 'llava', text_config: { vocab_size: 10 }, image_token_index: 9 }
    const sources = [0, 0, ...Array.from({ length: 31 }, (_, layer) => layer + 1)]
    expect(deepened(raw, sources)).toEqual({
      ...raw,
      text_config: { vocab_size: 10, num_hidden_layers: 33 },
    })
  })

  const lists = { layer_types: ['sliding_attention', 'full_attention'], num_hidden_layers: 2 }
  const longer = {
    layer_types: ['sliding_attention', 'full_attention', 'full_attention'],
    num_hidden_layers: 3,
  }

  test('lengthens the decoder’s lists, and leaves those of other parts', () => {
    const vision = { vision_config: { num_hidden_layers: 2, layer_types: ['a', 'b'] } }
    const raw = { model_type: 'gemma3', text_config: lists, ...vision }
    expect(deepened(raw, [0, 1, 1])).toEqual({ ...raw, text_config: longer })
  })

  test('is deeper at the top where the decoder’s keys stand there, alone or as well', () => {
    const flat = { model_type: 'qwen2_5_vl', ...lists }
    expect(deepened(flat, [0, 1, 1])).toEqual({ ...flat, ...longer })
    const twice = { ...flat, text_config: lists }
    expect(deepened(twice, [0, 1, 1])).toEqual({ ...twice, ...longer, text_config: longer })
  })
})
