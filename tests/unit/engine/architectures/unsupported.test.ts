import { describe, expect, test } from 'vitest'
import { AppError } from '../../../../src/shared/errors'
import { ARCHITECTURES, architectureOf, WRAPPERS } from '../../../../src/main/engine/architectures'
import { BY_TYPE } from '../../../../src/main/engine/architectures/unsupported'

function refusal(rawConfig: Record<string, unknown>): AppError {
  try {
    architectureOf(rawConfig, 'config.json')
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('was taken for a supported model')
}

const NOT_YET = 'Models of this kind cannot be grown yet: '
const NOT = 'Models of this kind cannot be grown: '

/** What configs have that tells what they are, as the models are published. */
const PUBLISHED: readonly (readonly [said: string, config: Record<string, unknown>])[] = [
  [
    `${NOT_YET}Qwen3_5MoeForConditionalGeneration holds a text model of the type qwen3_5_moe_text, which has layers with linear attention, and experts.`,
    {
      architectures: ['Qwen3_5MoeForConditionalGeneration'],
      model_type: 'qwen3_5_moe',
      text_config: { model_type: 'qwen3_5_moe_text', full_attention_interval: 4 },
      vision_config: {},
    },
  ],
  [
    `${NOT_YET}OlmoHybridForCausalLM has layers with linear attention.`,
    { architectures: ['OlmoHybridForCausalLM'], model_type: 'olmo_hybrid' },
  ],
  [
    `${NOT_YET}GptOssForCausalLM has attention sinks, and experts with biases and bounds; its weights are quantised as well (mxfp4).`,
    {
      architectures: ['GptOssForCausalLM'],
      model_type: 'gpt_oss',
      num_local_experts: 32,
      quantization_config: { quant_method: 'mxfp4' },
    },
  ],
  [
    `${NOT_YET}DeepseekV3ForCausalLM has latent attention, and experts behind a router with sigmoids and a bias; its weights are quantised as well (fp8).`,
    {
      architectures: ['DeepseekV3ForCausalLM'],
      model_type: 'deepseek_v3',
      auto_map: { AutoModelForCausalLM: 'modeling_deepseek.DeepseekV3ForCausalLM' },
      quantization_config: { quant_method: 'fp8' },
    },
  ],
  [
    `${NOT_YET}Gemma4UnifiedForConditionalGeneration holds a text model of the type gemma4_unified_text, which has layers that differ in shape, share keys and values or have embeddings of their own.`,
    {
      architectures: ['Gemma4UnifiedForConditionalGeneration'],
      model_type: 'gemma4_unified',
      text_config: { model_type: 'gemma4_unified_text' },
    },
  ],
  [
    `${NOT_YET}InternVLChatModel holds a text model of the type internlm_next, which is not known.`,
    { architectures: ['InternVLChatModel'], llm_config: { model_type: 'internlm_next' } },
  ],
  [
    `${NOT_YET}PhiForCausalLM has attention and MLP side by side (parallel blocks).`,
    { architectures: ['PhiForCausalLM'], model_type: 'phi' },
  ],
  [
    `${NOT_YET}GPT2LMHeadModel has learned positions, and norms that subtract the mean (LayerNorm).`,
    { architectures: ['GPT2LMHeadModel'] },
  ],
  [
    `${NOT}BertForMaskedLM is an encoder, which predicts no next token.`,
    { architectures: ['BertForMaskedLM'], model_type: 'bert' },
  ],
  [
    `${NOT}XLMRobertaModel is an encoder, which predicts no next token.`,
    { architectures: ['XLMRobertaModel'], model_type: 'xlm-roberta' },
  ],
  [
    `${NOT}T5ForConditionalGeneration is an encoder with a decoder behind it.`,
    {
      architectures: ['T5ForConditionalGeneration'],
      model_type: 't5',
      is_encoder_decoder: true,
    },
  ],
  [
    `${NOT}LlamaForSequenceClassification has another head than the one that predicts the next token.`,
    { architectures: ['LlamaForSequenceClassification'], model_type: 'llama' },
  ],
]

/** Of types that nobody has told of, by what their configs have. */
const UNKNOWN: readonly (readonly [said: string, config: Record<string, unknown>])[] = [
  ['has experts of a kind that is not read', { n_routed_experts: 64 }],
  ['has latent attention', { kv_lora_rank: 512, n_routed_experts: 64 }],
  ['has state-space layers', { mamba_d_state: 16 }],
  ['has layers with linear attention', { linear_num_value_heads: 32 }],
  ['is an encoder with a decoder behind it', { is_encoder_decoder: true }],
  ['is computed by code of its own', { auto_map: { AutoModel: 'modeling.Model' } }],
]

describe('a model that cannot be grown', () => {
  test.each(PUBLISHED)('%s', (said, rawConfig) => {
    expect(refusal(rawConfig)).toMatchObject({ code: 'unsupported_architecture', message: said })
  })

  test.each(UNKNOWN)('of an unknown type %s', (said, rawConfig) => {
    const error = refusal({ model_type: 'newest', architectures: ['NewestModel'], ...rawConfig })
    expect(error.message).toContain(`NewestModel ${said}.`)
    expect(Object.keys(rawConfig)).toContain(error.context?.field)
  })

  test('of which nothing is known is named as the config names it', () => {
    const named = { model_type: 'newest', architectures: ['NewestForCausalLM'] }
    expect(refusal(named).message).toBe(`${NOT}NewestForCausalLM, newest.`)
    expect(refusal({}).message).toBe(`${NOT}no architecture, no model type.`)
    expect(refusal({ ...named, text_config: [], auto_map: {} }).message).toContain('newest.')
  })

  test('wraps a decoder that is none of the list, or is of another class than its kind', () => {
    const llava = { architectures: ['LlavaForConditionalGeneration'], model_type: 'llava' }
    expect(refusal({ ...llava, text_config: { model_type: 'cohere' } }).message).toBe(
      `${NOT_YET}LlavaForConditionalGeneration holds a text model of the type cohere, which has attention and MLP side by side (parallel blocks).`,
    )
    const text_config = { model_type: 'llama' }
    const other = { ...llava, architectures: ['LlavaLlamaForCausalLM'], text_config }
    expect(refusal(other)).toMatchObject({
      message: `${NOT}LlavaLlamaForCausalLM is built otherwise than LlavaForConditionalGeneration.`,
      context: { field: 'architectures' },
    })
  })

  test('says that the model within it could be grown by itself', () => {
    const error = refusal({ model_type: 'newest_vl', text_config: { model_type: 'llama' } })
    expect(error.message).toBe(
      `${NOT_YET}newest_vl holds a text model of the type llama, which can be grown where it stands by itself.`,
    )
    expect(error.context).toMatchObject({ field: 'text_config.model_type' })
    const experts = { model_type: 'qwen3_moe', num_experts: 128 }
    const { message } = refusal({ model_type: 'newest_vl', text_config: experts })
    expect(message).toContain('qwen3_moe, which can be grown where it stands by itself.')
  })

  test('says what is supported, in no more than a hint holds', () => {
    const { hint } = refusal({ model_type: 'mamba' })
    for (const { architectureName } of [...ARCHITECTURES, ...WRAPPERS]) {
      const name = architectureName.replace(/For[A-Z]\w*$/, '').replaceAll('_', '.')
      expect(hint).toMatch(new RegExp(`\\b${name}\\b`))
    }
    expect(hint).not.toContain('…')
  })
})

test('no type stands in the table twice, and none that is supported', () => {
  const types = BY_TYPE.flatMap((each) => each.types)
  expect(new Set(types).size).toBe(types.length)
  const supported = new Set([...ARCHITECTURES, ...WRAPPERS].map(({ modelType }) => modelType))
  expect(types.filter((type) => supported.has(type))).toEqual([])
})

test.each(BY_TYPE.flatMap(({ types, clause }) => types.map((type) => [type, clause] as const)))(
  '%s %s',
  (type, clause) => {
    const { message, context } = refusal({ model_type: type })
    expect(message).toContain(`${type} ${clause}.`)
    expect(context).toMatchObject({ field: 'model_type' })
  },
)
