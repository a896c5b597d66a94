import { chmod, mkdir, readdir, readFile, writeFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  prepareOutput,
  writeCheckpoint,
  type OutputTensor,
  type WriteCheckpointOptions,
} from '../../../../src/main/engine/checkpoint/CheckpointWriter'
import { decodeSafetensors, writeTinyCheckpoint } from '../../../support/checkpoints'
import { tempFolder } from '../../../support/tempFolder'

type TinyOptions = Omit<Parameters<typeof writeTinyCheckpoint>[0], 'dir'>

interface Workbench {
  readonly folder: string
  readonly base: Checkpoint
  readonly out: string
  write(changes?: Partial<WriteCheckpointOptions>): ReturnType<typeof writeCheckpoint>
}

/** A base checkpoint, and a write of an unchanged copy of it to `out` unless told otherwise. */
async function workbench(options: TinyOptions = {}): Promise<Workbench> {
  const folder = await tempFolder()
  const base = await Checkpoint.open(
    await writeTinyCheckpoint({ dir: join(folder, 'base'), ...options }),
  )
  onTestFinished(() => base.close())
  const out = join(folder, 'out')
  return {
    folder,
    base,
    out,
    write: (changes = {}) =>
      writeCheckpoint({
        out,
        overwrite: false,
        tensors: copies(base),
        config: base.rawConfig,
        sidecarsFrom: base,
        files: {},
        maxShardBytes: 5e9,
        ...changes,
      }),
  }
}

function copies(base: Checkpoint): OutputTensor[] {
  return [...base.tensors.values()].map((tensor) => ({ ...tensor, content: { copy: tensor } }))
}

/** A one-dimensional F32 tensor produced in the given chunks. */
function produced(
  name: string,
  chunks: () => Iterable<Float32Array> | AsyncIterable<Float32Array>,
  elements: number,
): OutputTensor {
  const content = async function* () {
    yield* chunks()
  }
  return { name, dtype: 'F32', shape: [elements], byteLength: 4 * elements, content }
}

async function weightsOf(folder: string): Promise<Map<string, Uint8Array>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'))
  const files = await Promise.all(names.map((name) => decodeSafetensors(join(folder, name))))
  return new Map(files.flatMap(({ tensors }) => tensors.map(({ name, bytes }) => [name, bytes])))
}

describe('a written checkpoint', () => {
  test.each(['llama', 'mistral', 'qwen2', 'qwen3'] as const)(
    'of %s has every tensor bit for bit, and opens',
    async (architecture) => {
      const { base, out, write } = await workbench({ architecture, vocab: 512, dtype: 'F16' })
      const written = await write()
      const parameters = base.summarize().parameters
      expect(written).toEqual({
        out,
        shards: 1,
        bytes: parameters * 2,
        parameters,
        files: [
          'config.json',
          'generation_config.json',
          'model.safetensors',
          'tokenizer.json',
          'tokenizer_config.json',
        ],
        leftOut: [],
        losses: [],
        nonFinite: [],
      })
      expect(await readdir(out)).toEqual(written.files)
      expect(await weightsOf(out)).toEqual(await weightsOf(base.path))
      expect(await Checkpoint.inspect(out)).toMatchObject({
        architecture: base.config.architectureName,
      })
    },
  )

  test('is sharded by size, with an index as transformers writes it', async () => {
    const { base, out, write } = await workbench({ layers: 3 })
    const written = await write({ maxShardBytes: 20_000 })
    const index = await readFile(join(out, 'model.safetensors.index.json'), 'utf8')
    const { metadata, weight_map } = JSON.parse(index) as {
      metadata: unknown
      weight_map: Record<string, string>
    }
    expect(metadata).toEqual({ total_parameters: written.parameters, total_size: written.bytes })
    expect(Object.keys(weight_map)).toEqual([...base.tensors.keys()].sort())
    expect(index).toBe(`${JSON.stringify({ metadata, weight_map }, null, 2)}\n`)
    expect(written.shards).toBeGreaterThan(2)
    let total = 0
    for (let shard = 1; shard <= written.shards; shard += 1) {
      const name = `model-0000${shard}-of-0000${written.shards}.safetensors`
      const { tensors, metadata: format } = await decodeSafetensors(join(out, name))
      expect(format).toEqual({ format: 'pt' })
      expect(tensors.map((tensor) => weight_map[tensor.name])).toEqual(tensors.map(() => name))
      const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes.byteLength, 0)
      expect(bytes).toBeLessThanOrEqual(20_000)
      total += bytes
    }
    expect(total).toBe(written.bytes)
    expect(weight_map['model.embed_tokens.weight']).toMatch(/^model-00001-/)
    expect(weight_map['lm_head.weight']).toBe(
      `model-0000${written.shards}-of-0000${written.shards}.safetensors`,
    )
    expect(await weightsOf(out)).toEqual(await weightsOf(base.path))
    expect((await Checkpoint.inspect(out)).tensors).toBe(base.tensors.size)
  })

  test('starts its data at a multiple of eight and aligns each tensor to its elements', async () => {
    const { out, write } = await workbench()
    const odd = (
      name: string,
      dtype: string,
      byteLength: number,
      shape = [byteLength],
    ): OutputTensor => ({ name, dtype, shape, byteLength, content: 'zeros' })
    const tensors = [odd('a', 'U8', 3), odd('b', 'F64', 8, [1]), odd('c', 'BF16', 2, [1])]
    await write({ tensors: [...tensors, odd('d', 'F32', 4, [1])] })
    const { dataStart, tensors: found } = await decodeSafetensors(join(out, 'model.safetensors'))
    expect(dataStart % 8).toBe(0)
    expect(found.map(({ name }) => name)).toEqual(['b', 'd', 'c', 'a'])
  })

  test('does not repeat tied embeddings', async () => {
    const { out, write } = await workbench({ tieWordEmbeddings: true })
    await write()
    expect((await weightsOf(out)).has('lm_head.weight')).toBe(false)
    expect((await Checkpoint.inspect(out)).tie_word_embeddings).toBe(true)
  })

  test('holds produced tensors between copied ones, however they are chunked', async () => {
    const { base, out, write } = await workbench()
    const content = Float32Array.from({ length: 5_000_001 }, (_, index) => (index * 31) % 251)
    const chunks = function* () {
      // One array for all chunks: the writer must be done with it before it asks for the next.
      const reused = new Float32Array(750_000)
      for (let done = 0; done < content.length;) {
        const part = content.subarray(done, done + (done === 0 ? 1 : reused.length))
        reused.set(part)
        yield reused.subarray(0, part.length)
        done += part.length
        yield new Float32Array(0)
      }
    }
    const extra = produced('model.layers.1.extra', chunks, content.length)
    await write({ tensors: [...copies(base), extra] })
    const weights = await weightsOf(out)
    expect(
      Buffer.compare(weights.get(extra.name) ?? Buffer.of(), Buffer.from(content.buffer)),
    ).toBe(0)
    weights.delete(extra.name)
    expect(weights).toEqual(await weightsOf(base.path))
  })

  test('may name the same source twice', async () => {
    const { base, out, write } = await workbench()
    const renumbered = copies(base).flatMap((tensor) =>
      tensor.name.startsWith('model.layers.3.')
        ? [tensor, { ...tensor, name: tensor.name.replace('.3.', '.4.') }]
        : [tensor],
    )
    await write({ tensors: renumbered, config: { ...base.rawConfig, num_hidden_layers: 5 } })
    const grown = await Checkpoint.open(out)
    onTestFinished(() => grown.close())
    const suffix = 'mlp.up_proj.weight'
    expect(await grown.readBytes(grown.layerTensorName(4, suffix))).toEqual(
      await base.readBytes(base.layerTensorName(3, suffix)),
    )
  })

  test('carries the config with its numbers as they were spelled', async () => {
    const { base, out, write } = await workbench()
    const text = (await readFile(join(base.path, 'config.json'), 'utf8')).replace('10000', '1e4')
    await writeFile(join(base.path, 'config.json'), text)
    await write({
      config: { ...base.rawConfig, num_hidden_layers: 4, added: [1] },
      sidecarsFrom: base.path,
    })
    const config = await readFile(join(out, 'config.json'), 'utf8')
    expect(config).toContain('"rope_theta": 1e4')
    expect(JSON.parse(config)).toEqual({ ...base.rawConfig, added: [1] })
  })

  test('carries given files, and the sidecars but no weights, card or config of the base', async () => {
    const { base, out, write } = await workbench()
    const sidecars = ['chat_template.jinja', 'LICENSE', 'merges.txt', 'modeling_x.py', 'vocab.json']
    const others = ['README.md', 'pytorch_model.bin', 'consolidated.safetensors', 'params.json']
    for (const name of [...sidecars, ...others]) {
      await writeFile(join(base.path, name), `base's ${name}\r\n\u{1f600}`)
    }
    await chmod(join(base.path, 'vocab.json'), 0o444)
    await mkdir(join(base.path, 'additional_chat_templates'))
    await writeFile(join(base.path, 'additional_chat_templates', 'tools.jinja'), 'tools')
    await mkdir(join(base.path, 'tokenizer.model'))
    await symlink('/nowhere', join(base.path, 'NOTICE'))
    const { files, leftOut } = await write({
      files: { 'README.md': '# new', 'lesa.json': new TextEncoder().encode('{}') },
    })
    expect(files).toEqual(
      [
        ...sidecars,
        'README.md',
        'additional_chat_templates/tools.jinja',
        'config.json',
        'lesa.json',
        'model.safetensors',
      ].sort(),
    )
    for (const name of sidecars) {
      expect(await readFile(join(out, name))).toEqual(await readFile(join(base.path, name)))
    }
    expect(await readFile(join(out, 'README.md'), 'utf8')).toBe('# new')
    expect(leftOut.map(({ path }) => path)).toEqual([
      'NOTICE',
      'consolidated.safetensors',
      'params.json',
      'pytorch_model.bin',
    ])
    expect(await readdir(out)).not.toContain('tokenizer.model')
  })

  test('is reported on up to its last byte', async () => {
    const { base, write } = await workbench()
    const seen: [number, number][] = []
    const { bytes } = await write({ onProgress: (done, total) => seen.push([done, total]) })
    expect(bytes).toBe(base.summarize().bytes)
    expect(seen.map(([done]) => done)).toEqual(seen.map(([done]) => done).sort((a, b) => a - b))
    expect(seen.at(-1)).toEqual([bytes, bytes])
  })

  test('may go to an output that was claimed before, whose scratch it does not keep', async () => {
    const { base, out, write } = await workbench()
    const prepared = await prepareOutput(out, {
      overwrite: false,
      reads: [base.path],
      bytes: 0,
    })
    await writeFile(join(prepared.scratch, 'staged.bin'), 'temporary')
    const { files } = await write({ prepared })
    expect(await readdir(out)).toEqual(files)
  })

  test('replaces an older folder as a whole, old shards included', async () => {
    const { folder, base, out, write } = await workbench()
    await write({ maxShardBytes: 20_000 })
    await writeFile(join(out, 'stale.txt'), '')
    const { files } = await write({ overwrite: true })
    expect(files).toEqual(['config.json', 'model.safetensors'])
    expect(await readdir(out)).toEqual(files)
    expect(await weightsOf(out)).toEqual(await weightsOf(base.path))
    expect((await readdir(folder)).sort()).toEqual(['base', 'out'])
  })
})

/** An older checkpoint that may be replaced. */
const OLD = ['config.json', 'model.safetensors']

describe('nothing is left, and an older output stays as it was,', () => {
  async function interrupted(
    tensor: OutputTensor,
    signal?: AbortSignal,
    overwrite = false,
  ): Promise<{ thrown: unknown; left: string[]; old: string[] | null }> {
    const { folder, base, out, write } = await workbench()
    if (overwrite) {
      await mkdir(out)
      for (const name of OLD) await writeFile(join(out, name), 'old')
    }
    const thrown: unknown = await write({
      overwrite,
      tensors: [...copies(base), tensor],
      maxShardBytes: 10_000,
      ...(signal ? { signal } : {}),
    }).then(
      () => 'nothing',
      (error: unknown) => error,
    )
    return {
      thrown,
      left: (await readdir(folder)).sort(),
      old: overwrite ? await readdir(out) : null,
    }
  }

  test('when a tensor cannot be produced', async () => {
    const failure = new Error('no')
    const tensor = produced(
      'zzz',
      function* () {
        yield new Float32Array(1)
        throw failure
      },
      9,
    )
    expect(await interrupted(tensor)).toEqual({ thrown: failure, left: ['base'], old: null })
    expect(await interrupted(tensor, undefined, true)).toEqual({
      thrown: failure,
      left: ['base', 'out'],
      old: OLD,
    })
  })

  test.each([8, 10, 0])('when %i values come where 9 were announced', async (values) => {
    const { thrown, left } = await interrupted(produced('zzz', () => [new Float32Array(values)], 9))
    expect(thrown).toMatchObject({ code: 'bug', context: { tensor: 'zzz', expected: '36 bytes' } })
    expect(left).toEqual(['base'])
  })

  test('when a value is beyond what its type holds, unless that is allowed', async () => {
    const tensor = (): OutputTensor => ({
      ...produced('zzz', () => [Float32Array.of(1, -65_520, 70_000, NaN, Infinity)], 5),
      dtype: 'F16',
      byteLength: 10,
    })
    const { thrown, left } = await interrupted(tensor())
    expect(thrown).toMatchObject({
      code: 'bad_request',
      message: 'Weights would be lost: 2 values in the tensor "zzz" too large for F16: infinite.',
      context: { tensor: 'zzz' },
    })
    expect(left).toEqual(['base'])
    const { write } = await workbench()
    const written = await write({ tensors: [tensor()], allowOverflow: true })
    expect(written.losses).toEqual([
      { tensor: 'zzz', dtype: 'F16', overflowed: 2, hasVanished: false, largest: 70_000 },
    ])
  })

  test('when a copied tensor is not of the type that was announced', async () => {
    const { base, write } = await workbench()
    const [first] = copies(base)
    const tensors = first ? [{ ...first, dtype: 'F16' }] : []
    await expect(write({ tensors })).rejects.toMatchObject({ code: 'bug' })
  })

  test('when aborted in the middle', async () => {
    const controller = new AbortController()
    const tensor = produced(
      'zzz',
      function* () {
        yield new Float32Array(1)
        controller.abort()
        yield new Float32Array(8)
      },
      9,
    )
    const { thrown, left, old } = await interrupted(tensor, controller.signal, true)
    expect(thrown).toBe(controller.signal.reason)
    expect([left, old]).toEqual([['base', 'out'], OLD])
  })

  test('when aborted before the start', async () => {
    const { thrown, left } = await interrupted(
      produced('zzz', () => [new Float32Array(9)], 9),
      AbortSignal.abort(),
    )
    expect(thrown).toMatchObject({ name: 'AbortError' })
    expect(left).toEqual(['base'])
  })

  test('when the disk is too small', async () => {
    const elements = 2 ** 50
    const huge = produced('zzz', () => [], elements)
    const { thrown, left } = await interrupted(huge)
    expect(thrown).toMatchObject({
      code: 'not_enough_disk',
      message: expect.stringMatching(/needs .* TB of disk, .*B are free/) as string,
    })
    expect(left).toEqual(['base'])
  })

  test('when a source file was cut short', async () => {
    const { folder, base, write } = await workbench()
    const file = join(base.path, 'model.safetensors')
    await writeFile(file, (await readFile(file)).subarray(0, 9000))
    await expect(write()).rejects.toMatchObject({ code: 'bad_checkpoint', context: { file } })
    expect(await readdir(folder)).toEqual(['base'])
  })
})

describe('a write refuses', () => {
  test('an existing output before it reads anything', async () => {
    const { out, write } = await workbench()
    await mkdir(out)
    await writeFile(join(out, 'x'), '')
    await expect(write()).rejects.toMatchObject({ code: 'output_exists' })
    expect(await readdir(out)).toEqual(['x'])
  })

  test('the model as its own output, with or without overwriting', async () => {
    const { base, write } = await workbench()
    for (const out of [base.path, join(base.path, 'grown'), join(base.path, '..')]) {
      await expect(write({ out, overwrite: true })).rejects.toMatchObject({ code: 'path_denied' })
    }
    expect(await readdir(base.path)).toEqual(['config.json', 'model.safetensors'])
  })

  test('a tensor that is named twice or has another size than its shape', async () => {
    const { base, write } = await workbench()
    const [first] = copies(base)
    if (!first) throw new Error('no tensors')
    await expect(write({ tensors: [first, first] })).rejects.toMatchObject({ code: 'bug' })
    await expect(write({ tensors: [{ ...first, shape: [1] }] })).rejects.toMatchObject({
      code: 'bug',
    })
    const smaller = { ...first, shape: [1], byteLength: 2 }
    await expect(write({ tensors: [smaller] })).rejects.toMatchObject({ code: 'bug' })
  })
})
