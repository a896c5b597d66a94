import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExpandResult, ExpandSpec, ExportSpec } from '@shared/jobs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { ForwardPass } from '../../../../src/main/engine/decoder/ForwardPass'
import { scoreSequences } from '../../../../src/main/engine/evaluation/scoring'
import { Runtime } from '../../../../src/main/engine/onnx/Runtime'
import { runJob } from '../../../../src/main/engine/process/runJob'
import { decodeSafetensors, type FixtureTensor } from '../../../support/checkpoints'
import { resultOf } from '../../../support/decoding'
import {
  changedFolder,
  changedModel,
  familyModel,
  familyReference,
  WRAPPER_CASES,
} from '../../../support/familyCases'
import { runExpand } from '../../../support/jobs'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

let runtime: Runtime
beforeAll(async () => {
  runtime = await Runtime.open('cpu')
})
afterAll(() => runtime.dispose())

const { signal } = new AbortController()

async function losses(folder: string, ids: readonly number[]): Promise<readonly number[]> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  const pass = new ForwardPass(checkpoint, runtime, signal)
  onTestFinished(() => pass.dispose())
  const [score] = await resultOf(scoreSequences(pass, [Int32Array.from(ids)]))
  return [...(score?.losses ?? [])]
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

const apart = (actual: number, expected: number): number => Math.abs(actual / expected - 1)

async function grown(
  model: string,
  changes: Partial<ExpandSpec> = {},
): Promise<{ readonly spec: ExpandSpec; readonly out: string; readonly result: ExpandResult }> {
  const out = join(await tempFolder(), 'grown')
  const spec = expandSpec({ model, out, method: { name: 'stack', repeat: [1, 2] }, ...changes })
  return { spec, out, result: await runExpand(spec) }
}

const tensorsOf = async (folder: string): Promise<ReadonlyMap<string, FixtureTensor>> => {
  const { tensors } = await decodeSafetensors(join(folder, 'model.safetensors'))
  return new Map(tensors.map((tensor) => [tensor.name, tensor]))
}

type Config = Record<string, unknown> & { readonly text_config: Record<string, unknown> }

const configOf = async (folder: string): Promise<Config> =>
  JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Config

const renamed =
  (...pairs: readonly (readonly [from: string, to: string])[]) =>
  (tensors: readonly FixtureTensor[]): readonly FixtureTensor[] =>
    tensors.map((tensor) => {
      const [from, to] = pairs.find(([prefix]) => tensor.name.startsWith(prefix)) ?? ['', '']
      return { ...tensor, name: to + tensor.name.slice(from.length) }
    })

describe.each(WRAPPER_CASES)('%s', (name) => {
  const reference = familyReference(name)

  test('gives the likelihoods of transformers, grown as well', async () => {
    const base = await losses(familyModel(name), reference.ids)
    expect(apart(mean(base), mean(reference.nll))).toBeLessThan(1e-5)
    const { out } = await grown(familyModel(name))
    expect(apart(mean(await losses(out, reference.ids)), reference.stacked)).toBeLessThan(1e-5)
    const silent = await grown(familyModel(name), { method: { name: 'llama-pro', groups: 2 } })
    expect(await losses(silent.out, reference.ids)).toEqual(base)
  })
})

/** From what LLaVA's kind is published with to what its modules are called. */
const MODULES = [
  ['language_model.model.', 'model.language_model.'],
  ['language_model.lm_head.', 'lm_head.'],
  ['vision_tower.', 'model.vision_tower.'],
  ['multi_modal_projector.', 'model.multi_modal_projector.'],
] as const

describe('names stay those of the files', () => {
  const bare = MODULES.map(([from, to]) => [from, to.replace('model.', '')] as const)
  test.each([
    ['gemma3', 'as published', []],
    ['gemma3', 'as modules are called', MODULES],
    ['mistral3', 'as modules are called', MODULES],
    ['llava', 'without what modules begin with', bare],
    ['gemma3', 'of a module saved inside another', [['', 'module.']] as const],
    ['qwen2_5_vl', 'as published', []],
    [
      'qwen2_5_vl',
      'as modules are called',
      [
        ['model.', 'model.language_model.'],
        ['visual.', 'model.visual.'],
      ] as const,
    ],
  ])('%s, %s', async (name, _, pairs) => {
    const { ids, stacked } = familyReference(name)
    const model = await changedModel(name, { tensors: renamed(...pairs) })
    const { out } = await grown(model)
    expect(apart(mean(await losses(out, ids)), stacked)).toBeLessThan(1e-5)
    const [before, after] = [await tensorsOf(model), await tensorsOf(out)]
    const isOuter = pairs[0]?.[1] === 'module.'
    const bases = [...before.keys()].map((each) => (isOuter ? each.replace('module.', '') : each))
    const added = [...after.keys()].filter((each) => !bases.includes(each))
    expect(bases.filter((each) => !after.has(each))).toEqual([])
    expect(new Set(added.map((each) => /layers\.(\d+)\./.exec(each)?.[1]))).toEqual(
      new Set(['4', '5']),
    )
  })
})

describe('what is not of the decoder', () => {
  const isOutside = (name: string): boolean => /^(?:model\.)?(?:vision|visual|multi)/.test(name)

  test.each(['gemma3', 'mistral3', 'qwen2_5_vl', 'qwen3_vl', 'llava'])(
    'of %s keeps its type and its bytes, whatever the decoder’s type becomes',
    async (name) => {
      const { spec, out, result } = await grown(familyModel(name), { dtype: 'f32' })
      const [before, after] = [await tensorsOf(familyModel(name)), await tensorsOf(out)]
      const outside = [...before.values()].filter((tensor) => isOutside(tensor.name))
      expect(outside.length).toBeGreaterThan(10)
      for (const tensor of outside) expect(after.get(tensor.name)).toEqual(tensor)
      const inside = [...after.values()].filter((tensor) => !isOutside(tensor.name))
      expect(new Set(inside.map(({ dtype }) => dtype))).toEqual(new Set(['F32']))
      const config = await configOf(out)
      expect([config['dtype'], config.text_config['dtype']]).toEqual(['float32', 'float32'])

      const exportSpec: ExportSpec = {
        kind: 'export',
        model: out,
        base: familyModel(name),
        out: `${out}-exported`,
        overwrite: false,
        dtype: 'f16',
        maxShardBytes: 5e9,
        grown: { spec, result },
        perplexities: [],
      }
      const exported = await resultOf(runJob(exportSpec, { signal }))
      if (exported.kind !== 'export') throw new Error(exported.kind)
      const states = new Map(exported.checks.map(({ id, state }) => [id, state]))
      expect(states.get('originals_identical')).toBe('passed')
      expect([...states.values()]).not.toContain('failed')
      const written = await tensorsOf(exportSpec.out)
      for (const tensor of outside) expect(written.get(tensor.name)).toEqual(tensor)
    },
  )

  test('counts among the parameters, and not among the decoder’s', async () => {
    const summary = await Checkpoint.inspect(familyModel('gemma3'))
    const tensors = [...(await tensorsOf(familyModel('gemma3'))).values()]
    const count = (all: readonly FixtureTensor[]): number =>
      all.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)
    expect(summary.parameters).toBe(count(tensors))
    expect(summary.decoder_parameters).toBe(count(tensors.filter((each) => !isOutside(each.name))))
    const inLayers = tensors.filter(({ name }) => name.startsWith('language_model.model.layers.'))
    expect(summary.parameters_per_layer).toBe(count(inLayers) / 4)
    expect((await Checkpoint.inspect(familyModel('llava'))).tie_word_embeddings).toBe(true)
    expect(await Checkpoint.inspect(familyModel('gemma2'))).not.toHaveProperty('decoder_parameters')
  })
})

describe('a head that is not the embeddings, in a model that says it is', () => {
  const head = (tensors: readonly FixtureTensor[], name: string): FixtureTensor[] => {
    const embeddings = tensors.find((each) => /language_model.*embed_tokens/.test(each.name))
    if (!embeddings) throw new Error('no embeddings')
    return [{ ...embeddings, name, bytes: Uint8Array.from(embeddings.bytes).reverse() }]
  }

  test.each([
    ['llava', 'language_model.lm_head.weight', [false, false]],
    ['gemma3', 'language_model.lm_head.weight', [false, false]],
    ['qwen3_vl', 'lm_head.weight', [false, undefined]],
  ])('is kept, and the tie undone where a loader looks for it: %s', async (name, key, ties) => {
    const model = await changedModel(name, {
      tensors: (tensors) => [...tensors, ...head(tensors, key)],
    })
    const { out } = await grown(model)
    const config = await configOf(out)
    expect([config['tie_word_embeddings'], config.text_config['tie_word_embeddings']]).toEqual(ties)
    expect((await tensorsOf(out)).get(key)).toEqual((await tensorsOf(model)).get(key))
  })

  test('is left out where it repeats them', async () => {
    const { tensors } = await decodeSafetensors(join(familyModel('llava'), 'model.safetensors'))
    const [own] = head(tensors, 'language_model.lm_head.weight')
    const same = { ...own!, bytes: Uint8Array.from(own!.bytes).reverse() }
    const model = await changedModel('llava', { tensors: (all) => [...all, same] })
    const { out } = await grown(model)
    expect((await tensorsOf(out)).has(same.name)).toBe(false)
    expect((await configOf(out))['tie_word_embeddings']).toBe(true)
  })
})

describe('a config that is not what it should be', () => {
  const opened = async (
    name: string,
    config: (raw: Record<string, unknown>) => Record<string, unknown>,
  ): Promise<void> => {
    await (await Checkpoint.open(await changedModel(name, { config }))).close()
  }

  test.each([[undefined], [null], [7], [['a']]])('text_config %j is refused', async (text) => {
    for (const name of ['gemma3', 'llava']) {
      await expect(opened(name, (raw) => ({ ...raw, text_config: text }))).rejects.toMatchObject({
        code: 'bad_checkpoint',
        context: { field: 'text_config' },
      })
    }
  })

  test.each(['mamba', 7])('a decoder of the type %j is refused by its name', async (type) => {
    const changed = (raw: Record<string, unknown>): Record<string, unknown> => ({
      ...raw,
      text_config: { ...(raw as Config).text_config, model_type: type },
    })
    const code = type === 7 ? 'bad_checkpoint' : 'unsupported_architecture'
    await expect(opened('llava', changed)).rejects.toMatchObject({
      code,
      context: { field: 'text_config.model_type' },
    })
  })

  test('another class on the same model is another model', async () => {
    const model = await changedModel('gemma3', {
      config: (raw) => ({ ...raw, architectures: ['Gemma3ForSequenceClassification'] }),
    })
    expect((await Checkpoint.inspect(model)).refusal?.code).toBe('unsupported_architecture')
  })
})

describe('the recipes of a grown one', () => {
  test('name modules, say what files call them, and leave out other trainers', async () => {
    const { out } = await grown(familyModel('mistral3'))
    const recipe = JSON.parse(await readFile(join(out, 'recipes/recipe.json'), 'utf8')) as {
      readonly trained: readonly { readonly name: string }[]
    }
    expect(recipe).toMatchObject({
      layer_prefix: 'model.language_model.layers.',
      model_class: 'AutoModelForImageTextToText',
      stored_names: {
        'lm_head.weight': 'language_model.lm_head.weight',
        'model.language_model.': 'language_model.model.',
      },
    })
    const isNew = /^model\.language_model\.layers\.[34]\./
    expect(recipe.trained.every(({ name }) => isNew.test(name))).toBe(true)
    const readme = await readFile(join(out, 'recipes/README.md'), 'utf8')
    expect(readme).toContain('No files are written for axolotl')
    await expect(readFile(join(out, 'recipes/axolotl.yaml'))).rejects.toThrow()
  })
})

describe('what a training elsewhere wrote', () => {
  test('is compared under whatever names it has, all that lies around the decoder as well', async () => {
    const { out } = await grown(familyModel('mistral3'))
    const touched = 'model.multi_modal_projector.norm.weight'
    const trained = await changedFolder(out, {
      tensors: (tensors) =>
        renamed(...MODULES)(tensors).map((tensor) =>
          tensor.name === touched
            ? { ...tensor, bytes: Uint8Array.from(tensor.bytes).fill(0) }
            : tensor,
        ),
    })
    const result = await resultOf(runJob({ kind: 'descent', trained, start: out }, { signal }))
    if (result.kind !== 'descent') throw new Error(result.kind)
    expect(result.layers.every(({ is_changed }) => !is_changed)).toBe(true)
    expect(result.outside.map(({ tensor }) => tensor)).toEqual([touched])
    const inNew = 2 * 9
    expect(result.identical).toBe((await tensorsOf(out)).size - inNew - 1)
    expect(result.warnings).toEqual([])
  })
})

describe('what is seen and added to the first layers', () => {
  test('goes by their numbers, which a new layer among them is told of', async () => {
    const early = await grown(familyModel('qwen3_vl'), {
      method: { name: 'neighbour-mean', gaps: [0] },
    })
    expect(early.result.warnings).toEqual([])
    const model = await changedModel('qwen3_vl', {
      config: (raw) => ({
        ...raw,
        vision_config: {
          ...(raw['vision_config'] as object),
          deepstack_visual_indexes: [0, 1],
        },
      }),
    })
    const among = await grown(model, { method: { name: 'neighbour-mean', gaps: [0] } })
    expect(among.result.warnings).toEqual([
      expect.stringMatching(/first 2 layers.*among these \(1\)/),
    ])
  })
})
