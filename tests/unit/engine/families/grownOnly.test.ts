import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { ExpandResult, ExpandSpec, ExportSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { runJob } from '../../../../src/main/engine/process/runJob'
import { planSynthesis, synthesizeTensors } from '../../../../src/main/engine/synthesis/synthesize'
import { resultOf } from '../../../support/decoding'
import { learnedMethod, runExpand, runTask } from '../../../support/jobs'
import {
  evaluateSpec,
  expandSpec,
  generateSpec,
  placeSpec,
  pretrainSpec,
} from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

/** Made with transformers by `make.py` beside them, which also looks at what comes of them. */
const MODELS = resolve(import.meta.dirname, '../../../fixtures/grown-only')
const NAMES = ['qwen3_5_text', 'qwen3_5', 'qwen3_next', 'falcon_h1', 'gemma4_text', 'gemma4']

const modelOf = (name: string): string => join(MODELS, name)

async function open(folder: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(folder)
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

async function grown(
  name: string,
  method: MethodSpec,
  changes: Partial<ExpandSpec> = {},
): Promise<{ readonly out: string; readonly spec: ExpandSpec; readonly result: ExpandResult }> {
  const out = join(await tempFolder(), 'grown')
  const spec = expandSpec({ model: modelOf(name), out, method, seed: 3, ...changes })
  return { out, spec, result: await runExpand(spec) }
}

type Config = Readonly<Record<string, unknown>>

async function configOf(folder: string): Promise<Config> {
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Config
  return (config['text_config'] as Config | undefined) ?? config
}

interface Layer {
  readonly kind: string
  readonly source: number
}

async function layersOf(folder: string): Promise<readonly Layer[]> {
  const text = await readFile(join(folder, 'lesa.json'), 'utf8')
  return (JSON.parse(text) as { readonly layers: readonly Layer[] }).layers
}

/** The tensors of a layer by their names in it. */
function tensorsOf({ tensors, architecture }: Checkpoint, layer: number): Map<string, string> {
  const prefix = `${architecture.layerPrefix}${layer}.`
  return new Map(
    [...tensors.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => [name.slice(prefix.length), name]),
  )
}

/** The gaps of LLaMA Pro's blocks: in Gemma 4 none behind a layer whose keys and values are shared. */
const BLOCKS: MethodSpec = { name: 'llama-pro', gaps: [0, 1] }
const COPYING: readonly MethodSpec[] = [
  { name: 'interpolation' },
  { name: 'stack', repeat: [1, 2] },
  { name: 'solar' },
  BLOCKS,
]

/** SOLAR's second copy begins before the layers that share keys and values. */
const isPossible = (name: string, method: MethodSpec): boolean =>
  name !== 'gemma4_text' || method.name !== 'solar'

describe.each(NAMES)('%s', (name) => {
  test('has every tensor of the file, and says that it is not run', async () => {
    const checkpoint = await open(modelOf(name))
    const { architecture, config, remarks } = checkpoint
    for (let layer = 0; layer < config.numHiddenLayers; layer += 1) {
      const expected = architecture.layerTensors(config, layer).map(({ suffix }) => suffix)
      expect(new Set(expected)).toEqual(new Set(tensorsOf(checkpoint, layer).keys()))
    }
    const told = name === 'qwen3_5_text' ? [/1 tensors are none .* mtp\.fc\.weight/] : []
    const outside = architecture.wrapping ? [/tensors outside of it .* byte for byte/] : []
    const expected = [...outside, ...told].map((each) => expect.stringMatching(each) as string)
    expect(remarks).toEqual(expected)
    const { not_run: missing } = checkpoint.summarize()
    expect(missing).toBe(architecture.forward.missing)
    expect(missing).toMatch(/linear attention|state-space|scales/)
  })

  test.each(COPYING.filter((method) => isPossible(name, method)))(
    'grows by $name: every layer is the one that it comes from, but for what a block silences',
    async (method) => {
      const { out, result } = await grown(name, method)
      const [base, own, layers] = [await open(modelOf(name)), await open(out), await layersOf(out)]
      expect(result.num_hidden_layers).toBe(layers.length)
      expect(layers.length).toBeGreaterThan(base.config.numHiddenLayers)
      for (const [index, { kind, source }] of layers.entries()) {
        const [from, to] = [tensorsOf(base, source), tensorsOf(own, index)]
        expect([...to.keys()].sort()).toEqual([...from.keys()].sort())
        const scales = base.architecture.residualScales(base.config, source)
        for (const [suffix, made] of to) {
          if (kind === 'identity' && scales.includes(suffix)) {
            const silent = suffix === 'layer_scalar' ? 1 : 0
            expect(new Set(await own.readFloat32(made)), suffix).toEqual(new Set([silent]))
          } else {
            const bytes = await base.readBytes(from.get(suffix)!)
            expect(Buffer.compare(await own.readBytes(made), bytes), suffix).toBe(0)
          }
        }
      }
      const [before, after] = [await configOf(modelOf(name)), await configOf(out)]
      const types = before['layer_types'] as readonly string[] | undefined
      if (types) expect(after['layer_types']).toEqual(layers.map(({ source }) => types[source]))
      const others = [...base.tensors.keys()].filter((each) => !each.includes('.layers.'))
      expect(others.filter((each) => !own.tensors.has(each))).toEqual([])
    },
  )

  test('is exported and checked, the pass that it does not have aside', async () => {
    const { out, spec, result } = await grown(name, BLOCKS)
    const exported: ExportSpec = {
      kind: 'export',
      model: out,
      base: spec.model,
      out: join(await tempFolder(), 'exported'),
      overwrite: false,
      dtype: 'keep',
      maxShardBytes: spec.maxShardBytes,
      grown: { spec, result },
      perplexities: [],
    }
    const { signal } = new AbortController()
    const done = await resultOf(runJob(exported, { signal }))
    if (done.kind !== 'export') throw new Error(done.kind)
    const { checks } = done
    const states = Object.fromEntries(checks.map(({ id, state }) => [id, state]))
    expect(states).toEqual({
      reopened: 'passed',
      tensors_complete: 'passed',
      originals_identical: 'passed',
      weights_finite: 'passed',
      forward_finite: 'skipped',
      logits_equal_base: 'skipped',
    })
  })

  test('is refused, by what its layers have, where it would be run', async () => {
    const { missing = '' } = (await open(modelOf(name))).architecture.forward
    const [model, text, out] = [modelOf(name), join(modelOf(name), 'config.json'), 'no/where']
    const calibration = { text }
    const specs = [
      evaluateSpec({ models: [model], text }),
      generateSpec({ models: [model] }),
      placeSpec({ model, text }),
      pretrainSpec({ models: [{ path: model, name: 'it' }], texts: [text], out }),
      expandSpec({ model, out, method: { name: 'fitted', rounds: 1, gaps: [0] }, calibration }),
      expandSpec({
        model,
        out,
        method: { name: 'stack', repeat: [1, 1] },
        damp: 'auto',
        calibration,
      }),
      ...(name === 'gemma4'
        ? []
        : [
            expandSpec({ model, out, method: { name: 'opt-deus', asPublished: false } }),
            expandSpec({ model, out, method: { name: 'neighbour-mean' }, align: true }),
          ]),
    ]
    for (const spec of specs) {
      await expect(runTask(spec), JSON.stringify(spec)).rejects.toMatchObject({
        code: 'unsupported_architecture',
        message: expect.stringContaining(`its layers have ${missing}`) as string,
        context: expect.objectContaining({ file: join(model, 'config.json') }) as object,
      })
    }
  })
})

const small = learnedMethod('small')
const LEARNED = {
  ...small,
  predictor: { ...small.predictor, length: { unit: 'steps', value: 20 } },
} as const

describe('new layers are computed', () => {
  test('of linear attention from two of these: matrices by predictors, the rest by the mean', async () => {
    const { out, result } = await grown('qwen3_5_text', { ...LEARNED, gaps: [0] })
    const types = result.predictors.map(({ weightType }) => weightType)
    expect(types).toContain('linear.in_proj_qkv')
    expect(types).toContain('up_proj.linear')
    expect(types).not.toContain('q_proj')
    const [base, own] = [await open(modelOf('qwen3_5_text')), await open(out)]
    const decay = (model: Checkpoint, layer: number) =>
      model.readFloat32(model.layerTensorName(layer, 'linear_attn.A_log'))
    const [a, b, made] = [await decay(base, 0), await decay(base, 1), await decay(own, 1)]
    made.forEach((value, at) => expect(value).toBeCloseTo((a[at]! + b[at]!) / 2, 2))
    expect(own.config.otherTypes.slice(0, 3)).toEqual(Array(3).fill('linear_attention'))
  })

  test.each(['qwen3_next', 'falcon_h1', 'gemma4_text'])('of %s', async (name) => {
    const { out } = await grown(name, { name: 'neighbour-mean', gaps: [1] })
    const [base, own] = [await open(modelOf(name)), await open(out)]
    expect(own.config.numHiddenLayers).toBe(base.config.numHiddenLayers + 1)
  })

  test('and refused of experts that lie in one tensor', async () => {
    await expect(grown('gemma4', { name: 'neighbour-mean' })).rejects.toMatchObject({
      code: 'unsupported_architecture',
      message:
        'New layers of Gemma4ForConditionalGeneration are copies: it has experts in one tensor, which are not told apart.',
    })
  })
})

describe('of Gemma 4', () => {
  test('embeddings for every layer come from the layers that the new ones come from', async () => {
    const { out } = await grown('gemma4_text', { name: 'interpolation', gaps: [1, 4] })
    const [base, own] = [await open(modelOf('gemma4_text')), await open(out)]
    const sources = (await layersOf(out)).map(({ source }) => source)
    expect(sources).toEqual([0, 1, 1, 2, 3, 4, 4, 5])
    const [embeddings, projection] = ['embed_tokens_per_layer', 'per_layer_model_projection'].map(
      (name) => `model.${name}.weight`,
    ) as [string, string]
    const [columns, rows] = [await base.readFloat32(embeddings), await base.readFloat32(projection)]
    const [made, madeRows] = [await own.readFloat32(embeddings), await own.readFloat32(projection)]
    expect(own.tensors.get(embeddings)?.shape).toEqual([61, 8 * 4])
    const row = (values: Float32Array, width: number, at: number, part: number) => [
      ...values.subarray(at * width + part * 4, at * width + part * 4 + 4),
    ]
    sources.forEach((source, layer) => {
      expect(row(made, 32, 7, layer)).toEqual(row(columns, 24, 7, source))
      const [from, to] = [source * 4 * 16, layer * 4 * 16]
      expect(madeRows.subarray(to, to + 64)).toEqual(rows.subarray(from, from + 64))
    })
  })

  test('layers that share keys and values stay the last ones, and are counted with the new ones', async () => {
    const { out } = await grown('gemma4_text', { name: 'interpolation', gaps: [1, 4] })
    const config = await configOf(out)
    expect(config).toMatchObject({ num_hidden_layers: 8, num_kv_shared_layers: 3 })
    const wide = { head_dim: 16 }
    expect(config['per_layer_config']).toEqual({ 1: wide, 2: wide, 4: wide, 7: wide })
    await expect(grown('gemma4_text', { name: 'stack', repeat: [3, 4] })).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'num_kv_shared_layers', actual: 'layer 3 behind layer 4' },
    })
  })

  test('a block must not become what keys and values are taken from', async () => {
    for (const gap of [2, 3]) {
      await expect(grown('gemma4_text', { name: 'llama-pro', gaps: [gap] })).rejects.toMatchObject({
        code: 'bad_request',
        message: expect.stringContaining(`A block made of layer ${gap} would become`) as string,
      })
    }
    await grown('gemma4_text', { name: 'llama-pro', gaps: [1, 4] })
  })

  test('damping moves the stream’s scale towards 1 as far as gains towards nothing', async () => {
    const { out } = await grown('gemma4_text', { name: 'interpolation', gaps: [0] }, { damp: 0.5 })
    const [base, own] = [await open(modelOf('gemma4_text')), await open(out)]
    const read = async (model: Checkpoint, layer: number, suffix: string): Promise<number> =>
      (await model.readFloat32(model.layerTensorName(layer, suffix)))[0]!
    const [scale, gain] = ['layer_scalar', 'post_per_layer_input_norm.weight'] as const
    expect(await read(own, 1, scale)).toBeCloseTo((1 + (await read(base, 0, scale))) / 2, 2)
    expect(await read(own, 1, gain)).toBeCloseTo((await read(base, 0, gain)) / 2, 2)
  })
})

test('a broken period of linear attention is told', async () => {
  const told = (result: ExpandResult): boolean =>
    result.warnings.some((each) => each.includes('no longer repeat every 4 layers'))
  const { result } = await grown('qwen3_5', { name: 'interpolation', gaps: [1] })
  expect(told(result)).toBe(true)
  const { result: whole } = await grown('qwen3_5', { name: 'stack', repeat: [0, 3] })
  expect(told(whole)).toBe(false)
})

test.each(NAMES.filter((name) => !['qwen3_5', 'gemma4'].includes(name)))(
  'a model of random weights has every tensor of %s',
  async (name) => {
    const like = { config: join(modelOf(name), 'config.json') }
    const plan = await planSynthesis({ like, dtype: 'bf16' })
    const made = synthesizeTensors(plan, 0).map(({ name: tensor, shape }) => [tensor, shape])
    const { tensors } = await open(modelOf(name))
    const stored = [...tensors.values()].filter((each) => !each.name.startsWith('mtp.'))
    expect(new Map(made as [string, readonly number[]][])).toEqual(
      new Map(stored.map((each) => [each.name, each.shape])),
    )
  },
)
