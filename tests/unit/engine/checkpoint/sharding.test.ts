import { describe, expect, test } from 'vitest'
import { llama } from '../../../../src/main/engine/architectures/llama'
import { qwen3 } from '../../../../src/main/engine/architectures/qwen3'
import {
  inFileOrder,
  inStateDictOrder,
  shardName,
  splitIntoShards,
} from '../../../../src/main/engine/checkpoint/sharding'

const sized = (sizes: readonly number[]) =>
  sizes.map((byteLength, index) => ({ name: `t${index}`, dtype: 'U8', byteLength }))

const split = (sizes: readonly number[], limit: number) =>
  splitIntoShards(sized(sizes), limit).map((shard) => shard.map(({ byteLength }) => byteLength))

describe('splitIntoShards', () => {
  test('closes a shard before the tensor that would carry it over the limit', () => {
    expect(split([6, 6, 2, 6, 2, 2], 10)).toEqual([[6], [6, 2], [6, 2, 2]])
  })

  test('fills a shard to the limit exactly', () => {
    expect(split([5, 5, 1], 10)).toEqual([[5, 5], [1]])
  })

  test('gives a tensor above the limit a shard of its own without closing the one being filled', () => {
    expect(split([4, 20, 4, 4], 10)).toEqual([[20], [4, 4], [4]])
  })
})

describe('the order of tensors', () => {
  const names = [
    'lm_head.weight',
    'model.embed_tokens.weight',
    'model.layers.0.input_layernorm.weight',
    'model.layers.0.mlp.down_proj.weight',
    'model.layers.0.post_attention_layernorm.weight',
    'model.layers.0.self_attn.k_norm.weight',
    'model.layers.0.self_attn.o_proj.weight',
    'model.layers.0.self_attn.q_norm.weight',
    'model.layers.0.self_attn.q_proj.bias',
    'model.layers.0.self_attn.q_proj.weight',
    'model.layers.10.self_attn.q_proj.weight',
    'model.layers.2.self_attn.q_proj.weight',
    'model.norm.weight',
    'something.else',
  ]
  const tensors = names.map((name) => ({ name, dtype: 'BF16', byteLength: 2 }))

  // Norms of queries and keys follow the projections whether or not the family has them.
  test.each([llama, qwen3])('for sharding is that of the reference modules', (architecture) => {
    expect(inStateDictOrder(tensors, architecture).map(({ name }) => name)).toEqual([
      'model.embed_tokens.weight',
      'model.layers.0.self_attn.q_proj.weight',
      'model.layers.0.self_attn.q_proj.bias',
      'model.layers.0.self_attn.o_proj.weight',
      'model.layers.0.self_attn.q_norm.weight',
      'model.layers.0.self_attn.k_norm.weight',
      'model.layers.0.mlp.down_proj.weight',
      'model.layers.0.input_layernorm.weight',
      'model.layers.0.post_attention_layernorm.weight',
      'model.layers.2.self_attn.q_proj.weight',
      'model.layers.10.self_attn.q_proj.weight',
      'model.norm.weight',
      'lm_head.weight',
      'something.else',
    ])
  })

  test('within a file puts wider elements first, then layers by number and names by letter', () => {
    const wide = { name: 'model.layers.2.extra', dtype: 'F32', byteLength: 4 }
    const order = inFileOrder([...tensors, wide], llama, (dtype) => (dtype === 'F32' ? 32 : 16))
    expect(order.map(({ name }) => name)).toEqual([
      'model.layers.2.extra',
      'model.embed_tokens.weight',
      ...names.slice(2, 10),
      'model.layers.2.self_attn.q_proj.weight',
      'model.layers.10.self_attn.q_proj.weight',
      'model.norm.weight',
      'lm_head.weight',
      'something.else',
    ])
  })
})

test('shards are named as loaders expect', () => {
  expect(shardName(0, 1)).toBe('model.safetensors')
  expect(shardName(1, 12)).toBe('model-00002-of-00012.safetensors')
})
