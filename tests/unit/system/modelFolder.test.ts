import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../src/main/engine/checkpoint/Checkpoint'
import { identifyFolder } from '../../../src/main/ipc/handlers/folders'
import { explainFolder } from '../../../src/system/modelFolder'
import { writeTinyCheckpoint } from '../../support/checkpoints'
import { cacheModel } from '../../support/hubCache'
import { tempFolder } from '../../support/tempFolder'

let root: string
beforeEach(async () => {
  root = await tempFolder()
})

async function make(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = join(root, 'model')
  await mkdir(folder)
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  return folder
}

const LLAMA = JSON.stringify({ model_type: 'llama', architectures: ['LlamaForCausalLM'] })
const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 988097824\n'

const FOLDERS: readonly (readonly [
  what: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  code: string,
  says: RegExp,
])[] = [
  ['an empty folder', {}, 'bad_checkpoint', /is empty/],
  [
    'a Git LFS pointer',
    { 'config.json': LLAMA, 'model.safetensors': POINTER },
    'bad_checkpoint',
    /Git LFS pointer/,
  ],
  [
    'a Git LFS pointer in place of an index',
    { 'config.json': LLAMA, 'model.safetensors.index.json': POINTER },
    'bad_checkpoint',
    /index\.json is a Git LFS pointer/,
  ],
  [
    'a web page in place of weights',
    { 'config.json': LLAMA, 'model.safetensors': '\n<!DOCTYPE html><html></html>' },
    'bad_checkpoint',
    /web page/,
  ],
  [
    'a web page in place of a config',
    { 'config.json': '<html>' },
    'bad_checkpoint',
    /config\.json is a web page/,
  ],
  [
    'the answer of a server',
    { 'config.json': 'Entry not found' },
    'bad_checkpoint',
    /server that refused/,
  ],
  [
    'shards without an index',
    {
      'config.json': LLAMA,
      'model-00001-of-00003.safetensors': '',
      'model-00002-of-00003.safetensors': '',
    },
    'bad_checkpoint',
    /2 of 3 shards, but not the index/,
  ],
  [
    'a variant',
    { 'config.json': LLAMA, 'model.fp16.safetensors': '' },
    'bad_checkpoint',
    /variant fp16 only/,
  ],
  [
    'a variant in shards',
    { 'config.json': LLAMA, 'model.safetensors.index.fp16.json': '{}' },
    'bad_checkpoint',
    /variant fp16 only/,
  ],
  [
    'an MLX model',
    {
      'config.json': JSON.stringify({
        model_type: 'llama',
        quantization: { group_size: 64, bits: 4 },
      }),
      'model.safetensors': '',
    },
    'unsupported_dtype',
    /quantised \(MLX\)/,
  ],
  [
    'an old GPTQ model',
    { 'config.json': LLAMA, 'quantize_config.json': '{"bits":4}', 'model.safetensors': '' },
    'unsupported_dtype',
    /quantised \(GPTQ\)/,
  ],
  [
    'an old AWQ model',
    { 'config.json': LLAMA, 'quant_config.json': '{}', 'model.safetensors': '' },
    'unsupported_dtype',
    /quantised \(AWQ\)/,
  ],
  [
    'a bitsandbytes model without a method',
    {
      'config.json': JSON.stringify({
        model_type: 'llama',
        quantization_config: { load_in_4bit: true },
      }),
      'model.safetensors': '',
    },
    'unsupported_dtype',
    /quantised \(bitsandbytes\)/,
  ],
  [
    'an adapter',
    {
      'adapter_config.json': '{"base_model_name_or_path":"org/base"}',
      'adapter_model.safetensors': '',
    },
    'bad_checkpoint',
    /adapter \(LoRA\) of org\/base/,
  ],
  ['a GGUF file', { 'q4.gguf': '' }, 'bad_checkpoint', /q4\.gguf is a GGUF file/],
  [
    'pickled weights',
    { 'config.json': LLAMA, 'pytorch_model.bin': '' },
    'bad_checkpoint',
    /pytorch_model\.bin; only safetensors/,
  ],
  [
    'weights of other programs',
    { 'config.json': LLAMA, 'tf_model.h5': '' },
    'bad_checkpoint',
    /tf_model\.h5/,
  ],
  ['weights without a config', { 'model.safetensors': '' }, 'bad_checkpoint', /no config\.json/],
  [
    'another name',
    { 'config.json': LLAMA, 'weights.safetensors': '' },
    'bad_checkpoint',
    /no model\.safetensors, but weights\.safetensors/,
  ],
  [
    'the format of Mistral',
    { 'params.json': '{}', 'consolidated.safetensors': '' },
    'bad_checkpoint',
    /consolidated/,
  ],
  [
    'a pipeline',
    { 'model_index.json': '{}', 'unet/config.json': '{}' },
    'unsupported_architecture',
    /diffusers/,
  ],
  [
    'sentence embeddings',
    { 'modules.json': '[]', 'config_sentence_transformers.json': '{}' },
    'unsupported_architecture',
    /sentence embeddings/,
  ],
  ['a cache', { 'models--org--a/refs/main': '' }, 'bad_checkpoint', /is a Hugging Face cache/],
  [
    'a folder of checkpoints',
    { 'checkpoint-500/config.json': LLAMA, 'checkpoint-500/model.safetensors': '' },
    'bad_checkpoint',
    /holds no model itself/,
  ],
]

describe('a folder that is no checkpoint', () => {
  it.each(FOLDERS)('is explained: %s', async (_what, files, code, says) => {
    const folder = await make(files)
    await expect(Checkpoint.open(folder)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(says) as string,
      hint: expect.any(String) as string,
    })
    const found = await identifyFolder(folder)
    if (found.kind === 'other') expect(found.problem?.message).toMatch(says)
  })

  it('is a file, or is not there', async () => {
    const file = join(root, 'q4.gguf')
    await writeFile(file, '')
    expect((await explainFolder(file))?.message).toMatch(/is a GGUF file/)
    await writeFile(join(root, 'notes.txt'), '')
    expect((await explainFolder(join(root, 'notes.txt')))?.code).toBe('not_found')
    await symlink('/nowhere', join(root, 'link'))
    expect((await explainFolder(join(root, 'link')))?.message).toMatch(/link to what is not there/)
    expect(await explainFolder(join(root, 'nothing'))).toBeNull()
    const id = join(process.cwd(), 'some-org', 'some-model')
    expect((await explainFolder(id))?.hint).toContain('hf download some-org/some-model')
    const page = join(process.cwd(), 'https://huggingface.co/some-org/some-model/tree/v2')
    for (const given of [`${id}@v2`, page]) {
      expect(await explainFolder(given)).toMatchObject({
        message: expect.stringContaining('does not hold some-org/some-model at v2') as string,
        hint: expect.stringContaining('some-org/some-model --revision v2') as string,
      })
    }
  })

  it('is a snapshot whose blobs are gone', async () => {
    const model = await writeTinyCheckpoint({ dir: join(root, 'tiny') })
    const snapshot = await cacheModel({ cache: join(root, 'hub'), model, repository: 'org/tiny' })
    await rm(join(dirname(dirname(snapshot)), 'blobs'), { recursive: true })
    await expect(Checkpoint.open(snapshot)).rejects.toMatchObject({
      message: expect.stringMatching(
        /config\.json is a link to a file that is not there/,
      ) as string,
      hint: expect.stringContaining('hf download org/tiny') as string,
    })
  })

  it('is left to the failure where nothing more can be said', async () => {
    const model = await writeTinyCheckpoint({ dir: join(root, 'tiny') })
    expect(await explainFolder(model)).toBeNull()
    await writeFile(join(model, 'config.json'), '{')
    await expect(Checkpoint.open(model)).rejects.toMatchObject({
      message: expect.stringMatching(/not valid JSON/) as string,
    })
  })
})

describe('what leads to a model', () => {
  it('opens it: a shard, the config, a repository in the cache', async () => {
    const model = await writeTinyCheckpoint({ dir: join(root, 'tiny') })
    const snapshot = await cacheModel({ cache: join(root, 'hub'), model, repository: 'org/tiny' })
    for (const [given, path] of [
      [join(model, 'model.safetensors'), model],
      [join(model, 'config.json'), model],
      [dirname(dirname(snapshot)), snapshot],
    ] as const) {
      expect((await Checkpoint.inspect(given)).path).toBe(path)
      expect(await identifyFolder(given)).toEqual({ path, kind: 'model' })
    }
  })
})
