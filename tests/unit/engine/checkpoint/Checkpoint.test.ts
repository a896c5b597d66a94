import { copyFile, mkdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  decodeSafetensors,
  encodeSafetensors,
  writeTinyCheckpoint,
} from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

type TinyOptions = Omit<Parameters<typeof writeTinyCheckpoint>[0], 'dir'>

const tiny = async (options: TinyOptions = {}) =>
  writeTinyCheckpoint({ dir: join(await tempFolder(), 'model'), ...options })

async function opened(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

async function editJson(file: string, edit: (value: Record<string, never>) => void): Promise<void> {
  const value = JSON.parse(await readFile(file, 'utf8')) as Record<string, never>
  edit(value)
  await writeFile(file, JSON.stringify(value))
}

const INDEX = 'model.safetensors.index.json'
const Q0 = 'model.layers.0.self_attn.q_proj.weight'

describe('open', () => {
  test.each(['llama', 'mistral', 'qwen2', 'qwen3'] as const)('accepts %s', async (architecture) => {
    const checkpoint = await opened(await tiny({ architecture, headDim: 12 }))
    expect(checkpoint.architecture.modelType).toBe(architecture)
    expect(checkpoint.config).toMatchObject({
      numHiddenLayers: 4,
      headDim: 12,
      numKeyValueHeads: 2,
    })
    expect(checkpoint.layerTensorName(3, 'mlp.up_proj.weight')).toBe(
      'model.layers.3.mlp.up_proj.weight',
    )
    expect(checkpoint.tensors.has('model.layers.3.self_attn.q_norm.weight')).toBe(
      architecture === 'qwen3',
    )
  })

  test('finds the same tensors in shards as in one file', async () => {
    const single = await opened(await tiny({ seed: 5 }))
    const sharded = await opened(await tiny({ seed: 5, shards: 3 }))
    expect([...sharded.tensors.keys()].sort()).toEqual([...single.tensors.keys()].sort())
    expect(new Set([...sharded.tensors.values()].map(({ file }) => file)).size).toBe(3)
    for (const name of single.tensors.keys()) {
      expect(await sharded.readBytes(name)).toEqual(await single.readBytes(name))
    }
  })

  test('takes model.safetensors where there is an index as well', async () => {
    const folder = await tiny()
    await writeFile(join(folder, INDEX), '{"weight_map":{"x":"gone.safetensors"}}')
    expect((await opened(folder)).tensors.has('x')).toBe(false)
  })

  test('ignores other formats of the same weights', async () => {
    const folder = await tiny({ shards: 2 })
    for (const name of [
      'consolidated.safetensors',
      'pytorch_model.bin',
      'adapter_model.safetensors',
    ]) {
      await writeFile(join(folder, name), 'not weights')
    }
    await mkdir(join(folder, 'original'))
    expect((await opened(folder)).tensors.size).toBe(4 * 9 + 3)
  })

  // Making links needs a privilege on Windows.
  test.skipIf(process.platform === 'win32')(
    'follows links, as a download cache has them',
    async () => {
      const folder = await tiny({ shards: 2 })
      const blob = join(folder, '..', 'blob')
      const shard = join(folder, 'model-00001-of-00002.safetensors')
      await rename(shard, blob)
      await symlink(blob, shard)
      expect((await opened(folder)).tensors.size).toBe(4 * 9 + 3)
    },
  )

  test('keeps tensors that the architecture does not know, of any element type', async () => {
    const folder = await tiny()
    const extra = { name: 'extra', dtype: 'I64', shape: [1], bytes: new Uint8Array(8).fill(3) }
    await addTensor(folder, extra)
    const checkpoint = await opened(folder)
    expect(await checkpoint.readBytes('extra')).toEqual(extra.bytes)
    await expect(checkpoint.readFloat32('extra')).rejects.toMatchObject({
      code: 'unsupported_dtype',
      context: { tensor: 'extra', actual: 'I64' },
    })
  })

  test('needs no head when the embeddings are tied, and one when they are not', async () => {
    const folder = await tiny({ tieWordEmbeddings: true })
    expect((await opened(folder)).tensors.has('lm_head.weight')).toBe(false)
    await editConfig(folder, { tie_word_embeddings: false })
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { tensor: 'lm_head.weight' },
    })
  })
})

async function editConfig(folder: string, changes: Record<string, unknown>): Promise<void> {
  await editJson(join(folder, 'config.json'), (config) => Object.assign(config, changes))
}

/** Re-encodes the single file with one more tensor. */
async function addTensor(
  folder: string,
  extra: Parameters<typeof encodeSafetensors>[0][number],
): Promise<void> {
  const checkpoint = await Checkpoint.open(folder)
  const tensors = await Promise.all(
    [...checkpoint.tensors.values()].map(async ({ name, dtype, shape }) => ({
      name,
      dtype,
      shape,
      bytes: await checkpoint.readBytes(name),
    })),
  )
  await checkpoint.close()
  await writeFile(join(folder, 'model.safetensors'), encodeSafetensors([...tensors, extra]))
}

describe('open refuses', () => {
  test('a folder that is not there, a file, and a folder without a model', async () => {
    const folder = await tempFolder()
    await expect(Checkpoint.open(join(folder, 'none'))).rejects.toMatchObject({ code: 'not_found' })
    await writeFile(join(folder, 'file'), '')
    await expect(Checkpoint.open(join(folder, 'file'))).rejects.toMatchObject({ code: 'not_found' })
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({ code: 'bad_checkpoint' })
    await writeFile(join(folder, 'config.json'), '{}')
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      message: expect.stringContaining('no safetensors') as string,
    })
  })

  test.each(['', '{"a":', '[]', '{"hidden_size":NaN1}', '{"hidden_size":1,"hidden_size":}'])(
    'the config %j',
    async (text) => {
      const folder = await tiny()
      await writeFile(join(folder, 'config.json'), text)
      await expect(Checkpoint.open(folder)).rejects.toMatchObject({
        code: 'bad_checkpoint',
        context: { file: join(folder, 'config.json') },
      })
    },
  )

  test('another architecture, naming what is supported', async () => {
    const folder = await tiny({
      config: { model_type: 'mamba', architectures: ['MambaForCausalLM'] },
    })
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'unsupported_architecture',
      message:
        'Models of this kind cannot be grown yet: MambaForCausalLM has state-space layers (Mamba).',
      hint: expect.stringContaining('Qwen3') as string,
      context: { file: join(folder, 'config.json'), field: 'model_type' },
    })
  })

  test.each([
    [{ quantization_config: { quant_method: 'mxfp4' } }, 'mxfp4'],
    [{ quantization: { bits: 4, group_size: 64 } }, 'MLX'],
  ])('another architecture whose weights are quantised, naming both: %j', async (how, method) => {
    const config = { model_type: 'gpt_oss', architectures: ['GptOssForCausalLM'], ...how }
    const folder = await tiny({ config })
    const refusal = {
      code: 'unsupported_architecture',
      message: `Models of this kind cannot be grown yet: GptOssForCausalLM has attention sinks, and experts with biases and bounds; its weights are quantised as well (${method}).`,
    }
    await expect(Checkpoint.open(folder)).rejects.toMatchObject(refusal)
    expect(await Checkpoint.inspect(folder)).toMatchObject({ supported: false, refusal })
  })

  test('quantised weights', async () => {
    const folder = await tiny({ config: { quantization_config: { quant_method: 'gptq' } } })
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'unsupported_dtype',
      context: { field: 'quantization_config', actual: 'gptq' },
    })
  })

  /** What stands in a file instead of the weight `NAME.weight`: what follows its name, and the element type. */
  const QUANTISED: readonly (readonly [
    method: string,
    parts: readonly (readonly [suffix: string, dtype: string])[],
  ])[] = [
    [
      'MLX',
      [
        ['.weight', 'U32'],
        ['.scales', 'BF16'],
        ['.biases', 'BF16'],
      ],
    ],
    [
      'GPTQ',
      [
        ['.qweight', 'I32'],
        ['.qzeros', 'I32'],
        ['.scales', 'F16'],
        ['.g_idx', 'I32'],
      ],
    ],
    [
      'GPTQ or AWQ',
      [
        ['.qweight', 'I32'],
        ['.qzeros', 'I32'],
        ['.scales', 'F16'],
      ],
    ],
    [
      'bitsandbytes',
      [
        ['.weight', 'U8'],
        ['.weight.absmax', 'F32'],
        ['.weight.quant_map', 'F32'],
      ],
    ],
    [
      'bitsandbytes',
      [
        ['.weight', 'I8'],
        ['.SCB', 'F32'],
      ],
    ],
    [
      'FP8',
      [
        ['.weight', 'F8_E4M3'],
        ['.weight_scale_inv', 'F32'],
      ],
    ],
    [
      'compressed-tensors',
      [
        ['.weight_packed', 'I32'],
        ['.weight_scale', 'BF16'],
      ],
    ],
    [
      'with a scale for each matrix',
      [
        ['.weight', 'F8_E4M3'],
        ['.weight_scale', 'F32'],
      ],
    ],
  ]

  test.each(QUANTISED)(
    'quantised weights without a word in the config: %s',
    async (method, parts) => {
      const folder = await tiny()
      const file = join(folder, 'model.safetensors')
      const { tensors } = await decodeSafetensors(file)
      const packed = tensors.flatMap((tensor) => {
        if (!tensor.name.endsWith('_proj.weight')) return [tensor]
        const name = tensor.name.replace(/\.weight$/, '')
        return parts.map(([suffix, dtype]) => {
          const size = dtype.endsWith('32') ? 4 : dtype.endsWith('16') ? 2 : 1
          return { name: name + suffix, dtype, shape: [4], bytes: new Uint8Array(4 * size) }
        })
      })
      await writeFile(file, encodeSafetensors(packed))
      await expect(Checkpoint.open(folder)).rejects.toMatchObject({
        code: 'unsupported_dtype',
        context: { file, actual: method },
      })
      const { supported, refusal } = await Checkpoint.inspect(folder)
      expect([supported, refusal?.code, refusal?.stack]).toEqual([
        false,
        'unsupported_dtype',
        undefined,
      ])
    },
  )

  test('what a quantised model left behind in a whole one is no matter', async () => {
    const folder = await tiny()
    const file = join(folder, 'model.safetensors')
    const { tensors } = await decodeSafetensors(file)
    const left = { name: 'model.layers.0.mlp.up_proj.SCB', dtype: 'F32', shape: [1] }
    await writeFile(file, encodeSafetensors([...tensors, { ...left, bytes: new Uint8Array(4) }]))
    expect((await opened(folder)).remarks.join()).toMatch(/up_proj\.SCB/)
  })

  test.each([
    ['num_attention_heads', 2, 'self_attn.q_proj.weight', '[16, 32]'],
    ['head_dim', 4, 'self_attn.q_proj.weight', '[16, 32]'],
    ['num_key_value_heads', 4, 'self_attn.k_proj.weight', '[32, 32]'],
    ['intermediate_size', 40, 'mlp.gate_proj.weight', '[40, 32]'],
  ])('weights that are not those of the config: %s %i', async (key, value, suffix, expected) => {
    const folder = await tiny({ config: { head_dim: 8, [key]: value } })
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'shape_mismatch',
      context: {
        file: join(folder, 'model.safetensors'),
        tensor: `model.layers.0.${suffix}`,
        expected,
        actual: expect.stringMatching(/^\[\d+, 32\]$/) as string,
      },
    })
  })

  test('fewer layers than the config says', async () => {
    await expect(
      Checkpoint.open(await tiny({ config: { num_hidden_layers: 5 } })),
    ).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { tensor: 'model.layers.4.self_attn.q_proj.weight', actual: 'missing' },
    })
  })

  test.each([
    ['LlamaForSequenceClassification', 'llama'],
    ['Qwen2ForRewardModel', 'qwen2'],
    ['LlamaForTokenClassification', undefined],
    ['MambaForCausalLM', undefined],
    ['LlamaForCausalLM', 'mamba'],
    [undefined, undefined],
  ])('the class %s with the model type %s', async (name, type) => {
    const folder = await tiny({
      config: { architectures: name === undefined ? undefined : [name], model_type: type },
    })
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'unsupported_architecture',
      context: { file: join(folder, 'config.json') },
    })
  })

  test('a tensor that is stored twice, under one name or two', async () => {
    const folder = await tiny({ shards: 2 })
    const file = join(folder, 'model-00002-of-00002.safetensors')
    const { tensors } = await decodeSafetensors(file)
    const [last] = tensors.filter(({ name }) => name === 'model.norm.weight')
    await writeFile(file, encodeSafetensors([...tensors, { ...last!, name: 'norm.weight' }]))
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { file, tensor: 'model.norm.weight' },
    })
    await writeFile(file, encodeSafetensors(tensors))
    await copyFile(file, join(folder, 'other.safetensors'))
    await editJson(join(folder, INDEX), (index) => {
      const { weight_map } = index as unknown as { weight_map: Record<string, string> }
      weight_map['x'] = 'other.safetensors'
    })
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({ code: 'bad_checkpoint' })
  })

  test('weights that are none of the architecture', async () => {
    const folder = await tiny()
    const file = join(folder, 'model.safetensors')
    const { tensors } = await decodeSafetensors(file)
    const renamed = tensors.map((tensor) => ({
      ...tensor,
      name: tensor.name.replace('model.', 'transformer.'),
    }))
    await writeFile(file, encodeSafetensors(renamed))
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { tensor: 'model.embed_tokens.weight' },
    })
  })

  describe('an index', () => {
    const SHARD = 'model-00001-of-00002.safetensors'
    type Index = { weight_map: Record<string, unknown> }

    async function withIndex(edit: (index: Index) => void): Promise<string> {
      const folder = await tiny({ shards: 2 })
      await editJson(join(folder, INDEX), (index) => edit(index as unknown as Index))
      return folder
    }

    const refused = (folder: string, context: object = {}) =>
      expect(Checkpoint.open(folder)).rejects.toMatchObject({
        code: 'bad_checkpoint',
        context: { file: join(folder, INDEX), ...context },
      })

    test('that names a shard that is missing', async () => {
      const folder = await tiny({ shards: 2 })
      await rm(join(folder, SHARD))
      await refused(folder, { expected: join(folder, SHARD) })
    })

    test.each([
      '../model-00001-of-00002.safetensors',
      'a/../../x.safetensors',
      '/etc/x.safetensors',
      'C:\\x.safetensors',
      'C:x.safetensors',
      '..\\x.safetensors',
      './x.safetensors',
      'a//x.safetensors',
      'x.safetensors\u0000.safetensors',
      'pytorch_model.bin',
      '',
      7,
      null,
    ])('that names %j as a shard', async (shard) => {
      await refused(
        await withIndex(({ weight_map }) => {
          weight_map[Q0] = shard
        }),
        { tensor: Q0 },
      )
    })

    test('that promises a tensor which the model needs and its shard lacks', async () => {
      const folder = await tiny({ shards: 2 })
      const { tensors } = await decodeSafetensors(join(folder, SHARD))
      const rest = tensors.filter(({ name }) => name !== Q0)
      await writeFile(join(folder, SHARD), encodeSafetensors(rest))
      await refused(folder, { tensor: Q0, expected: SHARD })
    })

    test('with anything amiss, of an architecture whose needs are not known', async () => {
      const folder = await withIndex(({ weight_map }) => {
        weight_map['ghost'] = SHARD
      })
      await editConfig(folder, { model_type: 'mamba', architectures: ['MambaForCausalLM'] })
      await expect(Checkpoint.inspect(folder)).rejects.toMatchObject({
        code: 'bad_checkpoint',
        context: { file: join(folder, INDEX), tensor: 'ghost', expected: SHARD },
      })
    })

    test('without a map, or with an empty one', async () => {
      await refused(await withIndex((index) => Object.assign(index, { weight_map: [] })))
      await refused(await withIndex((index) => Object.assign(index, { weight_map: {} })))
    })
  })
})

describe('reading', () => {
  test.each(['BF16', 'F16', 'F32'] as const)('%s values and row ranges', async (dtype) => {
    const checkpoint = await opened(await tiny({ dtype }))
    const reference = await opened(await tiny({ dtype: 'F32' }))
    const exact = await reference.readFloat32(Q0)
    const values = await checkpoint.readFloat32(Q0)
    const tolerance = { BF16: 2 ** -8, F16: 2 ** -11, F32: 0 }[dtype]
    values.forEach((value, index) => {
      const expected = exact[index] ?? NaN
      expect(Math.abs(value - expected)).toBeLessThanOrEqual(
        Math.abs(expected) * tolerance + (dtype === 'F16' ? 2 ** -25 : 0),
      )
    })
    expect(await checkpoint.readFloat32(Q0, { rows: [3, 5] })).toEqual(values.slice(96, 160))
    expect(await checkpoint.readFloat32(Q0, { rows: [4, 4] })).toHaveLength(0)
    const norm = await checkpoint.readFloat32('model.norm.weight')
    expect(await checkpoint.readFloat32('model.norm.weight', { rows: [30, 32] })).toEqual(
      norm.slice(30),
    )
  })

  test('larger than one chunk, in order', async () => {
    // 33,000 × 64 halves are a little more than one chunk of 4 MiB.
    const checkpoint = await opened(
      await tiny({ layers: 1, hidden: 64, vocab: 33_000, tieWordEmbeddings: true }),
    )
    const name = 'model.embed_tokens.weight'
    const values = await checkpoint.readFloat32(name)
    const bytes = await checkpoint.readBytes(name)
    const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    expect(bits.findIndex((value, index) => value !== ((halves[index] ?? 0) << 16) >>> 0)).toBe(-1)
  })

  test('into a given array fills its start and nothing else', async () => {
    const checkpoint = await opened(await tiny())
    const into = new Float32Array(100).fill(7)
    const values = await checkpoint.readFloat32(Q0, { rows: [1, 3], into })
    expect(values).toHaveLength(64)
    expect(into.subarray(0, 64)).toEqual(await checkpoint.readFloat32(Q0, { rows: [1, 3] }))
    expect([...new Set(into.subarray(64))]).toEqual([7])
    const bytes = new Uint8Array(6).fill(7)
    await checkpoint.readBytes(Q0, { start: 2, end: 6 }, bytes)
    expect(bytes.subarray(0, 4)).toEqual((await checkpoint.readBytes(Q0)).subarray(2, 6))
    expect([...bytes.subarray(4)]).toEqual([7, 7])
  })

  test('in chunks gives the same bytes', async () => {
    const checkpoint = await opened(await tiny())
    const chunks: Uint8Array[] = []
    for await (const chunk of checkpoint.streamBytes(Q0, 1000)) chunks.push(chunk)
    expect(chunks.map(({ byteLength }) => byteLength)).toEqual([1000, 1000, 48])
    expect(new Uint8Array(Buffer.concat(chunks))).toEqual(await checkpoint.readBytes(Q0))
  })

  test('refuses ranges and targets that do not fit, and names that do not exist', async () => {
    const checkpoint = await opened(await tiny())
    const float = (...rows: [number, number]) => checkpoint.readFloat32(Q0, { rows })
    await expect(float(0, 33)).rejects.toThrow(RangeError)
    await expect(float(-1, 2)).rejects.toThrow(RangeError)
    await expect(float(3, 2)).rejects.toThrow(RangeError)
    await expect(checkpoint.readBytes(Q0, { end: 2049 })).rejects.toThrow(RangeError)
    await expect(checkpoint.readFloat32(Q0, { into: new Float32Array(8) })).rejects.toThrow(
      RangeError,
    )
    await expect(checkpoint.readFloat32('ghost')).rejects.toMatchObject({ code: 'bug' })
  })

  test('says so when a file was cut short after it was opened', async () => {
    const folder = await tiny()
    const checkpoint = await opened(folder)
    const file = join(folder, 'model.safetensors')
    await writeFile(file, (await readFile(file)).subarray(0, 20_000))
    await expect(checkpoint.readFloat32('model.norm.weight')).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { file },
    })
  })

  test('is an error after close', async () => {
    const checkpoint = await Checkpoint.open(await tiny())
    await checkpoint.readFloat32(Q0)
    await checkpoint.close()
    await expect(checkpoint.readFloat32(Q0)).rejects.toMatchObject({ code: 'bug' })
  })

  test('works through more shards than are kept open', async () => {
    const checkpoint = await opened(await tiny({ layers: 9, shards: 84 }))
    const names = [...checkpoint.tensors.keys()]
    const first = await Promise.all(names.map((name) => checkpoint.readBytes(name)))
    const second = await Promise.all(names.reverse().map((name) => checkpoint.readBytes(name)))
    expect(second.reverse()).toEqual(first)
  })
})

describe('inspect', () => {
  test('counts parameters, bytes and shards', async () => {
    const folder = await tiny({ architecture: 'qwen2', shards: 2, vocab: 512, dtype: 'F16' })
    const summary = await Checkpoint.inspect(folder)
    const perLayer = 2 * 32 * 32 + 2 * 16 * 32 + 32 + 16 + 16 + 3 * 32 * 48 + 2 * 32
    const parameters = 4 * perLayer + 2 * 512 * 32 + 32
    expect(summary).toMatchObject({
      path: folder,
      architecture: 'Qwen2ForCausalLM',
      model_type: 'qwen2',
      supported: true,
      num_hidden_layers: 4,
      hidden_size: 32,
      intermediate_size: 48,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      vocab_size: 512,
      max_position_embeddings: 256,
      tie_word_embeddings: false,
      parameters,
      parameters_per_layer: perLayer,
      dtypes: { F16: parameters },
      bytes: parameters * 2,
      tensors: 4 * 12 + 3,
      has_tokenizer: true,
    })
    expect(summary.shards.map(({ file }) => file)).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ])
  })

  test('describes an architecture that is not supported', async () => {
    const config = { model_type: 'mamba', architectures: ['MambaForCausalLM'], hidden_size: 'big' }
    expect(await Checkpoint.inspect(await tiny({ config }))).toMatchObject({
      architecture: 'MambaForCausalLM',
      model_type: 'mamba',
      supported: false,
      refusal: { code: 'unsupported_architecture' },
      num_hidden_layers: 4,
      hidden_size: 0,
      tensors: 39,
      has_tokenizer: false,
    })
  })

  test.each(['text_config', 'llm_config', 'language_config'])(
    'describes the text model within one that is not supported, by its %s',
    async (key) => {
      const inner = { model_type: 'internlm2', num_hidden_layers: 7, hidden_size: 96 }
      const config = {
        model_type: 'internvl_chat',
        architectures: ['InternVLChatModel'],
        [key]: inner,
      }
      expect(await Checkpoint.inspect(await tiny({ config }))).toMatchObject({
        supported: false,
        refusal: {
          message:
            'Models of this kind cannot be grown yet: InternVLChatModel holds a text model of the type internlm2, which is not known.',
        },
        num_hidden_layers: 7,
        hidden_size: 96,
      })
    },
  )

  test('describes weights that cannot be read as floats', async () => {
    const folder = await tiny({ config: { quantization_config: {} } })
    expect(await Checkpoint.inspect(folder)).toMatchObject({
      supported: false,
      refusal: { code: 'unsupported_dtype' },
      tensors: 39,
    })
    const packed = { name: 'model.layers.0.input_layernorm.weight', dtype: 'I8', shape: [32] }
    await writeFile(
      join(folder, 'model.safetensors'),
      encodeSafetensors([{ ...packed, bytes: new Uint8Array(32) }]),
    )
    expect(await Checkpoint.inspect(folder)).toMatchObject({ supported: false, dtypes: { I8: 32 } })
  })

  test('still refuses a damaged file', async () => {
    const folder = await tiny({ config: { model_type: 'mamba' } })
    await writeFile(join(folder, 'model.safetensors'), 'cut')
    await expect(Checkpoint.inspect(folder)).rejects.toMatchObject({ code: 'bad_checkpoint' })
  })
})

test('the fingerprint changes with config, weights and time of change, not with the folder', async () => {
  const fingerprint = async (folder: string) => (await opened(folder)).fingerprint()
  const folder = await tiny()
  const weights = join(folder, 'model.safetensors')
  const moment = new Date(1_700_000_000_000)
  await utimes(weights, moment, moment)
  const first = await fingerprint(folder)
  expect(first).toMatch(/^[0-9a-f]{64}$/)
  expect(await fingerprint(folder)).toBe(first)

  const twin = join(folder, '..', 'twin')
  await mkdir(twin)
  for (const name of ['config.json', 'model.safetensors']) {
    await copyFile(join(folder, name), join(twin, name))
  }
  await utimes(join(twin, 'model.safetensors'), moment, moment)
  expect(await fingerprint(twin)).toBe(first)

  await editConfig(twin, { initializer_range: 0.5 })
  expect(await fingerprint(twin)).not.toBe(first)
  await utimes(weights, moment, new Date(1_700_000_001_000))
  expect(await fingerprint(folder)).not.toBe(first)
})
