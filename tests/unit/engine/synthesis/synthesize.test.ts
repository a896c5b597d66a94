import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SYNTH_PRESETS, type SynthPreset } from '@shared/jobs'
import { planSynthesis, synthesizeTensors } from '../../../../src/main/engine/synthesis/synthesize'
import { tempFolder } from '../../../support/tempFolder'

/** As counted in the published checkpoints. */
const PARAMETERS: Readonly<Record<SynthPreset, number>> = {
  'llama-1.1b': 1_100_048_384,
  'llama3-8b': 8_030_261_248,
  'qwen2.5-1.5b': 1_543_714_304,
}

const QWEN3 = {
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  vocab_size: 64,
  rms_norm_eps: 1e-6,
  use_sliding_window: true,
  sliding_window: 16,
  layer_types: ['full_attention', 'sliding_attention'],
  tie_word_embeddings: true,
  quantization_config: { quant_method: 'fp8' },
  dtype: 'bfloat16',
}

async function configFile(content: unknown): Promise<string> {
  const file = join(await tempFolder(), 'config.json')
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

describe('planSynthesis', () => {
  it.each(SYNTH_PRESETS)('has the parameters of the published %s', async (preset) => {
    const plan = await planSynthesis({ like: { preset }, dtype: 'bf16' })
    const parameters = synthesizeTensors(plan, 0).reduce(
      (sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1),
      0,
    )
    expect(parameters).toBe(PARAMETERS[preset])
  })

  it('takes depth and element type from the command, attention types from the layers', async () => {
    const config = await configFile(QWEN3)
    const plan = await planSynthesis({ like: { config }, layers: 5, dtype: 'f16' })
    expect(plan.config.numHiddenLayers).toBe(5)
    expect(plan.rawConfig['dtype']).toBe('float16')
    expect(plan.rawConfig).not.toHaveProperty('torch_dtype')
    expect(plan.rawConfig).not.toHaveProperty('quantization_config')
    const types = plan.rawConfig['layer_types'] as string[]
    expect(types.map((type) => type.split('_')[0])).toEqual([
      'full',
      'sliding',
      'full',
      'sliding',
      'full',
    ])
    const names = synthesizeTensors(plan, 0).map(({ name }) => name)
    expect(names).toContain('model.layers.4.self_attn.k_norm.weight')
    expect(names).not.toContain('lm_head.weight')
    expect(new Set(names).size).toBe(names.length)
  })

  it('says what is wrong with a config', async () => {
    const plan = (config: string) => planSynthesis({ like: { config }, dtype: 'bf16' })
    const missing = join(await tempFolder(), 'none.json')
    await expect(plan(missing)).rejects.toMatchObject({ code: 'not_found' })
    await expect(plan(await configFile('{"a": 1, "a": }'))).rejects.toMatchObject({
      code: 'bad_checkpoint',
    })
    await expect(plan(await configFile([]))).rejects.toMatchObject({ code: 'bad_checkpoint' })
    await expect(plan(await configFile({ model_type: 'gpt2' }))).rejects.toMatchObject({
      code: 'unsupported_architecture',
    })
  })
})
