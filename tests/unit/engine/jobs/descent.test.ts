import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DescentResult, JobEvent } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import {
  decodeToFloat32,
  encodeFromFloat32,
  isTensorDtype,
} from '../../../../src/main/engine/checkpoint/dtypes'
import { findStart } from '../../../../src/main/engine/descent/findStart'
import {
  decodeSafetensors,
  encodeSafetensors,
  writeTinyCheckpoint,
  type FixtureTensor,
  type TinyCheckpointOptions,
} from '../../../support/checkpoints'
import { runExpand, runTask } from '../../../support/jobs'
import { expandSpec, pretrainSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

/** A tiny model, grown by a silent layer after the second and the fourth. */
async function grown(options: Partial<TinyCheckpointOptions> = {}): Promise<string> {
  const home = await tempFolder()
  const model = await writeTinyCheckpoint({ dir: join(home, 'base'), layers: 4, ...options })
  const out = join(home, 'grown')
  await runExpand(expandSpec({ model, out, method: { name: 'llama-pro', groups: 2 } }))
  return out
}

const NEW = [2, 5]

type Change = (values: Float32Array, name: string) => Float32Array

/** What a trainer elsewhere would write of it: the weights changed, no record of ours. */
async function trainedElsewhere(
  start: string,
  change: Change,
  {
    dtype,
    shards = 1,
    rename = (name) => name,
    config = {},
    without = [],
    also = [],
  }: {
    readonly dtype?: 'BF16' | 'F16' | 'F32'
    readonly shards?: number
    readonly rename?: (name: string) => string
    readonly config?: Readonly<Record<string, unknown>>
    readonly without?: readonly string[]
    readonly also?: readonly FixtureTensor[]
  } = {},
): Promise<string> {
  const out = join(await tempFolder(), 'elsewhere')
  await mkdir(out)
  const raw = JSON.parse(await readFile(join(start, 'config.json'), 'utf8')) as object
  await writeFile(join(out, 'config.json'), JSON.stringify({ ...raw, ...config }))
  const { tensors } = await decodeSafetensors(join(start, 'model.safetensors'))
  const changed = tensors
    .filter(({ name }) => !without.includes(name))
    .map((tensor) => {
      if (!isTensorDtype(tensor.dtype)) throw new Error(tensor.dtype)
      const values = change(decodeToFloat32(tensor.bytes, tensor.dtype), tensor.name)
      const stored = dtype ?? tensor.dtype
      const bytes = encodeFromFloat32(values, stored)
      return { ...tensor, name: rename(tensor.name), dtype: stored, bytes }
    })
  const all = [...changed, ...also]
  if (shards === 1) {
    await writeFile(join(out, 'model.safetensors'), encodeSafetensors(all))
    return out
  }
  const weight_map: Record<string, string> = {}
  for (let shard = 0; shard < shards; shard += 1) {
    const file = `model-${shard + 1}.safetensors`
    const part = all.filter((_, index) => index % shards === shard)
    for (const { name } of part) weight_map[name] = file
    await writeFile(join(out, file), encodeSafetensors(part))
  }
  await writeFile(join(out, 'model.safetensors.index.json'), JSON.stringify({ weight_map }))
  return out
}

const isNew = (name: string): boolean => NEW.some((layer) => name.includes(`.layers.${layer}.`))

/** Adds 0.25 to each weight of the new layers: exact in every element type here. */
const train: Change = (values, name) => (isNew(name) ? values.map((value) => value + 0.25) : values)

async function compare(
  start: string,
  trained: string,
  onEvent?: (event: JobEvent) => void,
  signal?: AbortSignal,
): Promise<DescentResult> {
  const { result } = await runTask(
    { kind: 'descent', start, trained },
    { ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) },
  )
  if (result.kind !== 'descent') throw new Error('not a descent result')
  return result
}

const changedLayers = ({ layers }: DescentResult): number[] =>
  layers.filter(({ is_changed }) => is_changed).map(({ layer }) => layer)

describe('a checkpoint that was trained elsewhere', () => {
  it('is told from its start by the new layers alone, with how far each moved', async () => {
    const start = await grown({ dtype: 'F32' })
    const result = await compare(start, await trainedElsewhere(start, train))
    expect(result).toMatchObject({
      num_hidden_layers: 6,
      new_layers: NEW,
      outside: [],
      converted: 0,
      rounded_to: null,
      non_finite: [],
      warnings: [],
    })
    // Four layers of nine tensors, embeddings, last norm, head.
    expect(result.identical).toBe(4 * 9 + 3)
    expect(changedLayers(result)).toEqual(NEW)
    const [first] = result.layers.filter(({ is_new }) => is_new)
    const elements = 32 * 32 * 2 + 16 * 32 * 2 + 48 * 32 * 3 + 64
    expect(first?.change).toBeCloseTo(0.25 * Math.sqrt(elements), 3)
    expect(first?.max).toBeCloseTo(0.25, 6)
    expect(first?.relative).toBeCloseTo((first?.change ?? 0) / (first?.norm ?? 1), 12)
    expect(first?.parts.map(({ part }) => part)).toEqual([
      'q_proj',
      'k_proj',
      'v_proj',
      'o_proj',
      'gate_proj',
      'up_proj',
      'down_proj',
      'input_layernorm',
      'post_attention_layernorm',
    ])
    // Its output matrices were zero.
    const output = first?.parts.find(({ part }) => part === 'o_proj')
    expect(output).toMatchObject({ norm: 0, relative: null, change: 0.25 * 32 })
    // The parts make up the layer.
    const squares = first?.parts.reduce((sum, { change }) => sum + change ** 2, 0) ?? 0
    expect(Math.sqrt(squares)).toBeCloseTo(first?.change ?? 0, 9)
  })

  it('may lie in shards, under other prefixes, and without a tied head', async () => {
    const start = await grown({ tieWordEmbeddings: true })
    const out = await trainedElsewhere(start, train, {
      shards: 3,
      rename: (name) => `module.${name}`,
    })
    const result = await compare(start, out)
    expect(changedLayers(result)).toEqual(NEW)
    expect(result).toMatchObject({ outside: [], identical: 4 * 9 + 2 })
  })

  it('may store the tied head once more, or untie one that is the same', async () => {
    const start = await grown({ tieWordEmbeddings: true })
    const { tensors } = await decodeSafetensors(join(start, 'model.safetensors'))
    const embeddings = tensors.find(({ name }) => name === 'model.embed_tokens.weight')
    if (!embeddings) throw new Error('no embeddings')
    const head = { ...embeddings, name: 'lm_head.weight' }
    const config = { tie_word_embeddings: false }
    const untied = await compare(
      start,
      await trainedElsewhere(start, train, { also: [head], config }),
    )
    expect(untied).toMatchObject({ outside: [], identical: 4 * 9 + 3 })
    const other = { ...head, bytes: new Uint8Array(head.bytes.length) }
    const touched = await trainedElsewhere(start, train, { also: [other], config })
    expect((await compare(start, touched)).outside.map(({ tensor }) => tensor)).toEqual([
      'lm_head.weight',
    ])
  })

  it('is compared after conversion where its element type is another', async () => {
    const start = await grown({ dtype: 'BF16' })
    const wide = await compare(start, await trainedElsewhere(start, train, { dtype: 'F32' }))
    expect(wide).toMatchObject({
      identical: 0,
      converted: 4 * 9 + 3,
      rounded_to: null,
      outside: [],
      dtypes: { start: ['BF16'], trained: ['F32'] },
    })
    expect(changedLayers(wide)).toEqual(NEW)
    const from32 = await grown({ dtype: 'F32' })
    for (const dtype of ['BF16', 'F16'] as const) {
      const narrow = await compare(from32, await trainedElsewhere(from32, (all) => all, { dtype }))
      expect(narrow).toMatchObject({ identical: 0, converted: 4 * 9 + 3, rounded_to: null })
      // Storing is no training: the new layers are the start's, rounded.
      expect(changedLayers(narrow)).toEqual([])
    }
  })

  it('is recognised where it was rounded on the way to a wide type', async () => {
    const start = await grown({ dtype: 'F32' })
    const through: Change = (values, name) =>
      train(decodeToFloat32(encodeFromFloat32(values, 'BF16'), 'BF16'), name)
    const result = await compare(start, await trainedElsewhere(start, through))
    expect(result).toMatchObject({ rounded_to: 'BF16', outside: [] })
    expect(result.converted + result.identical).toBe(4 * 9 + 3)
    expect(changedLayers(result)).toEqual(NEW)
    expect(result.warnings.join()).toContain('BF16')
  })

  it('shows original layers and other tensors that were touched', async () => {
    const start = await grown({ dtype: 'F32' })
    const touch: Change = (values, name) => {
      const after = train(values, name).slice()
      if (name === 'model.layers.3.self_attn.k_proj.weight') after[7] = (after[7] ?? 0) + 0.5
      if (name === 'model.norm.weight') after.fill(2)
      return after
    }
    const result = await compare(start, await trainedElsewhere(start, touch))
    expect(changedLayers(result)).toEqual([2, 3, 5])
    const layer = result.layers[3]
    expect(layer).toMatchObject({ is_new: false, is_changed: true })
    expect(layer?.change).toBeCloseTo(0.5, 6)
    expect(layer?.max).toBeCloseTo(0.5, 6)
    expect(layer?.norm).toBeGreaterThan(1)
    expect(layer?.parts.filter(({ change }) => change > 0).map(({ part }) => part)).toEqual([
      'k_proj',
    ])
    expect(result.outside.map(({ tensor }) => tensor)).toEqual(['model.norm.weight'])
    expect(result.identical).toBe(4 * 9 + 3 - 2)
  })

  it('tells the weight types of fused tensors apart', async () => {
    const start = await grown({ architecture: 'phi3', dtype: 'F32' })
    const only: Change = (values, name) =>
      isNew(name) && name.endsWith('qkv_proj.weight')
        ? values.map((value, index) => (index < 32 * 32 ? value + 1 : value))
        : values
    const result = await compare(start, await trainedElsewhere(start, only))
    const moved = result.layers[2]?.parts.filter(({ change }) => change > 0)
    expect(moved?.map(({ part }) => part)).toEqual(['q_proj'])
    expect(moved?.[0]?.change).toBeCloseTo(32, 3)
  })

  it('may have its zero biases stored, or left out', async () => {
    const start = await grown({ attentionBias: true, dtype: 'F32', scale: zeroBias })
    const biases = (await decodeSafetensors(join(start, 'model.safetensors'))).tensors
      .map(({ name }) => name)
      .filter((name) => name.endsWith('.bias'))
    expect(biases.length).toBeGreaterThan(0)
    const out = await trainedElsewhere(start, train, { without: biases })
    expect(changedLayers(await compare(start, out))).toEqual(NEW)
    const moved = await compare(out, start).catch((error: unknown) => error)
    expect(moved).toMatchObject({ code: 'bad_request', context: { field: 'new_layers' } })
  })

  it('is our own too: what pretrain wrote', async () => {
    const start = await grown({ vocab: 512 })
    const text = join(start, '..', 'text.txt')
    await writeFile(text, 'Ada walked to the garden and looked at the hen. '.repeat(200))
    const out = join(start, '..', 'trained')
    await runTask(
      pretrainSpec({
        models: [{ path: start, name: 'grown' }],
        texts: [text],
        amount: { steps: 2 },
        batch: 2,
        context: 32,
        out,
      }),
    )
    const events: JobEvent[] = []
    const result = await compare(start, out, (event) => events.push(event))
    expect(changedLayers(result)).toEqual(NEW)
    expect(result).toMatchObject({ outside: [], identical: 4 * 9 + 3, converted: 0, warnings: [] })
    const steps = events.filter(({ type }) => type === 'step')
    expect(steps.at(-1)).toMatchObject({ done: expect.any(Number) as number })
    const last = steps.at(-1)
    expect(last?.type === 'step' && last.done === last.total).toBe(true)
    expect(await findStart(out)).toEqual({ start })
    // Nothing lies around the start that it could have come from.
    expect(await findStart(start)).toEqual({ candidates: [] })
    // A second copy of the start makes it undecided.
    const copy = join(start, '..', 'copy')
    await cp(start, copy, { recursive: true })
    expect(await findStart(out)).toEqual({
      candidates: expect.arrayContaining([start, copy]) as string[],
    })
  })

  it('is nothing else where nothing was changed', async () => {
    const start = await grown()
    const result = await compare(start, await trainedElsewhere(start, (values) => values))
    expect(changedLayers(result)).toEqual([])
    expect(result).toMatchObject({ outside: [], identical: 4 * 9 + 3 })
  })

  it('leaves out what is not finite, and says where', async () => {
    const start = await grown({ dtype: 'F32' })
    const broken: Change = (values, name) => {
      const after = train(values, name).slice()
      if (name === 'model.layers.2.self_attn.q_proj.weight') after[3] = NaN
      return after
    }
    const result = await compare(start, await trainedElsewhere(start, broken))
    expect(result.non_finite).toEqual(['model.layers.2.self_attn.q_proj.weight'])
    expect(result.layers[2]?.change).toBeGreaterThan(0)
    expect(result.warnings.join()).toContain('NaN')
  })

  it('says when it computes otherwise with its weights', async () => {
    const start = await grown()
    const out = await trainedElsewhere(start, train, { config: { rope_theta: 500000 } })
    expect((await compare(start, out)).warnings).toEqual([
      expect.stringContaining('rope_parameters') as string,
    ])
  })
})

const zeroBias = (name: string): number => (name.endsWith('.bias') ? 0 : 1)

describe('a folder that did not come from the start', () => {
  const refusal = (start: string, trained: string): Promise<unknown> =>
    compare(start, trained).catch((error: unknown) => error)

  it('is refused by the field of its config that tells', async () => {
    const start = await grown()
    const home = await tempFolder()
    const other = async (options: Partial<TinyCheckpointOptions>): Promise<string> => {
      const dir = join(home, JSON.stringify(options).replace(/\W/g, ''))
      return writeTinyCheckpoint({ dir, layers: 6, ...options })
    }
    const cases = [
      [{ layers: 4 }, 'num_hidden_layers', '6', '4'],
      [{ hidden: 64 }, 'hidden_size', '32', '64'],
      [{ intermediate: 64 }, 'intermediate_size', '48', '64'],
      [{ kvHeads: 4 }, 'num_key_value_heads', '2', '4'],
      [{ vocab: 65 }, 'vocab_size', '64', '65'],
      [{ architecture: 'qwen3' }, 'model_type', 'llama', 'qwen3'],
    ] as const
    for (const [options, field, expected, actual] of cases) {
      const folder = await other(options)
      expect(await refusal(start, folder)).toMatchObject({
        code: 'shape_mismatch',
        context: { file: join(folder, 'config.json'), field, expected, actual },
      })
    }
  })

  it('is refused by its weights where all shapes are the same', async () => {
    const start = await grown()
    const dir = join(await tempFolder(), 'other')
    const other = await writeTinyCheckpoint({ dir, layers: 6, seed: 9 })
    expect(await refusal(start, other)).toMatchObject({
      code: 'shape_mismatch',
      context: { file: other, tensor: 'model.embed_tokens.weight' },
    })
  })

  it('is refused where a tensor is missing, has another shape, or there are no weights', async () => {
    const start = await grown()
    const lacking = await trainedElsewhere(start, train, {
      without: ['model.layers.2.mlp.up_proj.weight'],
    })
    expect(await refusal(start, lacking)).toMatchObject({
      code: 'bad_checkpoint',
      context: { tensor: 'model.layers.2.mlp.up_proj.weight' },
    })
    const wrong = await trainedElsewhere(start, train, {
      without: ['model.norm.weight'],
      also: [{ name: 'model.norm.weight', dtype: 'BF16', shape: [31], bytes: new Uint8Array(62) }],
    })
    expect(await refusal(start, wrong)).toMatchObject({
      code: 'shape_mismatch',
      context: { tensor: 'model.norm.weight', expected: '[32]', actual: '[31]' },
    })
    const empty = await trainedElsewhere(start, train)
    await rm(join(empty, 'model.safetensors'))
    expect(await refusal(start, empty)).toMatchObject({ code: 'bad_checkpoint' })
  })

  it('needs a start that says which layers are new, and is another folder', async () => {
    const start = await grown()
    const out = await trainedElsewhere(start, train)
    expect(await refusal(start, start)).toMatchObject({ code: 'bad_request' })
    await writeFile(join(start, 'lesa.json'), '{"new_layers": [2, 9]}')
    expect(await refusal(start, out)).toMatchObject({
      code: 'bad_request',
      context: { field: 'new_layers', actual: '9' },
    })
    await rm(join(start, 'lesa.json'))
    expect(await refusal(start, out)).toMatchObject({
      code: 'bad_request',
      context: { file: join(start, 'lesa.json') },
    })
  })

  it('ends when it is told to', async () => {
    const start = await grown()
    const out = await trainedElsewhere(start, train)
    const abort = new AbortController()
    const stopped = compare(start, out, () => abort.abort(new Error('stopped')), abort.signal)
    await expect(stopped).rejects.toThrow('stopped')
    // Its files are closed: they can be opened again.
    await (await Checkpoint.open(out)).close()
  })
})
