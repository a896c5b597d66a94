import { execFileSync } from 'node:child_process'
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  describeLeftOut,
  findSidecars,
  type Sidecars,
} from '../../../../src/main/engine/checkpoint/sidecars'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { runExpand, runTask } from '../../../support/jobs'
import { cacheModel } from '../../../support/hubCache'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

let root: string
let model: string
beforeEach(async () => {
  root = await tempFolder()
  model = await writeTinyCheckpoint({ dir: join(root, 'model'), shards: 2 })
})

async function put(...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(model, path)), { recursive: true })
    await writeFile(join(model, path), path)
  }
}

const namesOf = ({ files }: Sidecars): string[] => files.map(({ path }) => path)
const leftOutOf = ({ leftOut }: Sidecars): Record<string, string> =>
  Object.fromEntries(leftOut.map(({ path, reason }) => [path, reason]))

describe('what comes along with a grown model', () => {
  it('is everything small: tokenizers of all kinds, templates, packages of its own code', async () => {
    const all = [
      'LICENSE',
      'USE_POLICY.md',
      'additional_chat_templates/tool_use.jinja',
      'chat_template.jinja',
      'custom_tokens.json',
      'figures/benchmark.png',
      'generation_config.json',
      'modeling_x.py',
      'qwen.tiktoken',
      'sentencepiece.bpe.model',
      'tekken.json',
      'tokenizer.model.v3',
      'x_package/__init__.py',
      'x_package/config.json',
      'x_package/nested/layers.py',
    ]
    await put(...all)
    const found = await findSidecars(model)
    expect(namesOf(found)).toEqual([...all].sort())
    expect(found.leftOut).toEqual([])
    expect(describeLeftOut(found.leftOut)).toBeNull()
  })

  it('is no weights, no other form of the model, nothing of a training, and no cache', async () => {
    await put(
      '.git/HEAD',
      '.cache/huggingface/download/x.metadata',
      '__pycache__/x.pyc',
      'adapter_config.json',
      'model.gguf',
      'onnx/model.onnx',
      'onnx/config.json',
      'original/params.json',
      'original/tokenizer.model',
      'params.json',
      'pytorch_model.bin.index.json',
      'rust_model.ot',
      'trainer_state.json',
      'training_args.bin',
      'README.md',
      'lesa/predictor-q_proj.safetensors',
      'lesa.json',
    )
    const found = await findSidecars(model)
    expect(namesOf(found)).toEqual([])
    expect(Object.keys(leftOutOf(found)).sort()).toEqual([
      '.cache',
      '.git',
      '__pycache__',
      'adapter_config.json',
      'lesa',
      'model.gguf',
      'onnx',
      'original',
      'params.json',
      'pytorch_model.bin.index.json',
      'rust_model.ot',
      'trainer_state.json',
      'training_args.bin',
    ])
    expect(describeLeftOut(found.leftOut)).toMatch(
      /^Not copied from the base model: \.cache \(hidden/,
    )
  })

  it('is nothing that is large', async () => {
    await put('huge.json', 'large/one.txt')
    await truncate(join(model, 'huge.json'), 100e6 + 1)
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      await put(`many/${name}`)
      await truncate(join(model, 'many', name), 99e6)
    }
    const found = await findSidecars(model)
    expect(leftOutOf(found)).toEqual({
      'huge.json': 'larger than 100 MB',
      'many/f': 'all together are larger than 500 MB',
    })
  })

  it('is nothing that a link leads to outside of the folder, but for blobs of the cache', async () => {
    await put('inside.txt')
    await writeFile(join(root, 'secret'), 'mine')
    await mkdir(join(root, 'elsewhere'))
    await symlink('inside.txt', join(model, 'alias.txt'))
    await symlink(join(root, 'secret'), join(model, 'tokenizer.json'))
    await symlink(join(root, 'elsewhere'), join(model, 'package'))
    await symlink('/nowhere', join(model, 'LICENSE'))
    await symlink('loop', join(model, 'loop'))
    await symlink('.', join(model, 'itself'))
    if (process.platform !== 'win32') execFileSync('mkfifo', [join(model, 'pipe')])
    const found = await findSidecars(model)
    expect(namesOf(found)).toEqual(['alias.txt', 'inside.txt'])
    expect(leftOutOf(found)).toMatchObject({
      LICENSE: 'a link to what is not there',
      loop: 'a link to what is not there',
      'tokenizer.json': 'a link that leads out of the folder',
      package: 'a link that leads out of the folder',
      itself: 'a link that leads out of the folder',
    })
    const plain = await writeTinyCheckpoint({ dir: join(root, 'plain') })
    await writeFile(join(plain, 'tekken.json'), '{}')
    const cached = await cacheModel({ cache: join(root, 'hub'), model: plain, repository: 'a/b' })
    expect(namesOf(await findSidecars(cached))).toEqual(['tekken.json'])
  })
})

describe('a growth', () => {
  it('is not stopped by a dangling link, and says before it begins what stays behind', async () => {
    await put('tekken.json')
    await symlink('/nowhere', join(model, 'LICENSE'))
    const spec = expandSpec({ model, out: join(root, 'out') })
    const { events } = await runTask(spec)
    const said = events.findIndex(
      (event) =>
        event.type === 'log' && event.text.includes('LICENSE (a link to what is not there)'),
    )
    const begun = events.findIndex((event) => event.type === 'step')
    expect(said).toBeGreaterThan(-1)
    expect(said).toBeLessThan(begun)
    const result = await runExpand({ ...spec, overwrite: true })
    expect(result.left_out).toEqual([{ path: 'LICENSE', reason: 'a link to what is not there' }])
    expect(namesOf(await findSidecars(result.out))).toEqual(['tekken.json'])
  })
})
