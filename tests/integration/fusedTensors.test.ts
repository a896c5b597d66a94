import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RunAnalysis } from '@shared/analysis'
import type { ExpandResult, JobResult, JobSpec } from '@shared/jobs'
import type { MethodSpec } from '@shared/methods'
import type { ModelStatistics } from '@shared/statistics'
import { describe, expect, test } from 'vitest'
import { elementsOf } from '../../src/main/engine/architectures/Architecture'
import { Checkpoint } from '../../src/main/engine/checkpoint/Checkpoint'
import { runJob } from '../../src/main/engine/process/runJob'
import { writeTinyCheckpoint, type TinyCheckpointOptions } from '../support/checkpoints'
import { learnedMethod, runEvaluate } from '../support/jobs'
import { evaluateSpec, expandSpec } from '../support/specs'
import { tempFolder } from '../support/tempFolder'
import { WEIGHT_TYPES } from '../support/weightTypes'

const TEXT = 'A small town with a large harbour, and what the sea brought to it. '.repeat(8)

const COMMON: Omit<TinyCheckpointOptions, 'dir'> = {
  layers: 5,
  vocab: 512,
  config: { sliding_window: 24 },
  seed: 21,
}

/**
 * The same random weights twice: as Phi-3 keeps them, q, k and v in one tensor and gate and up in another, and with a
 * tensor for each. Whatever is done to them must come out the same.
 */
async function bothModels(): Promise<{ readonly fused: string; readonly separate: string }> {
  const folder = await tempFolder()
  const write = (architecture: 'phi3' | 'mistral'): Promise<string> =>
    writeTinyCheckpoint({ ...COMMON, dir: join(folder, architecture), architecture })
  return { fused: await write('phi3'), separate: await write('mistral') }
}

async function run(spec: JobSpec, recordDir?: string): Promise<JobResult> {
  const { signal } = new AbortController()
  const job = runJob(spec, { signal, ...(recordDir === undefined ? {} : { recordDir }) })
  for (;;) {
    const next = await job.next()
    if (next.done) return next.value
  }
}

interface Grown {
  readonly out: string
  readonly result: ExpandResult
  readonly analysis: RunAnalysis
}

async function grow(model: string, method: MethodSpec): Promise<Grown> {
  const folder = await tempFolder()
  const out = join(folder, 'grown')
  const result = await run(expandSpec({ model, out, method, seed: 4 }), folder)
  if (result.kind !== 'expand') throw new Error(result.kind)
  const analysis = JSON.parse(await readFile(join(folder, 'analysis.json'), 'utf8')) as RunAnalysis
  return { out, result, analysis }
}

/** Every matrix, norm and table of a checkpoint by what it is, wherever it lies. */
async function contents(folder: string): Promise<Map<string, Float32Array>> {
  const checkpoint = await Checkpoint.open(folder)
  const found = new Map<string, Float32Array>()
  const fusedOrNot = new Set(checkpoint.slotsOf(0).map(({ weight }) => weight.tensor))
  for (let layer = 0; layer < checkpoint.config.numHiddenLayers; layer += 1) {
    for (const { id, weight } of checkpoint.slotsOf(0)) {
      const name = checkpoint.layerTensorName(layer, weight.tensor)
      const end = weight.offset + elementsOf(weight.shape)
      const values = await checkpoint.readFloat32(name, { elements: [weight.offset, end] })
      found.set(`${layer} ${id}`, values)
    }
  }
  for (const name of checkpoint.tensors.keys()) {
    if ([...fusedOrNot].some((suffix) => name.endsWith(suffix))) continue
    found.set(name, await checkpoint.readFloat32(name))
  }
  await checkpoint.close()
  return found
}

const perplexityOf = async (model: string): Promise<number> => {
  const text = join(await tempFolder(), 'text.txt')
  await writeFile(text, TEXT)
  const spec = evaluateSpec({ models: [model], text, context: 64 })
  return (await runEvaluate(spec)).results[0]?.perplexity ?? NaN
}

describe('a model of fused tensors', () => {
  test('is inspected as what it is', async () => {
    const models = await bothModels()
    expect(await Checkpoint.inspect(models.fused)).toMatchObject({
      architecture: 'Phi3ForCausalLM',
      supported: true,
      tensors: 3 + 5 * 6,
      num_hidden_layers: 5,
    })
  })

  test('has the perplexity of the same weights apart', async () => {
    const models = await bothModels()
    expect(await perplexityOf(models.fused)).toBe(await perplexityOf(models.separate))
  })

  test('has statistics for each of its slots', async () => {
    const models = await bothModels()
    const of = async (model: string): Promise<ModelStatistics> => {
      const file = join(await tempFolder(), 'statistics.json')
      await run({ kind: 'statistics', model, file })
      return JSON.parse(await readFile(file, 'utf8')) as ModelStatistics
    }
    const fused = await of(models.fused)
    expect(fused.rows.map(({ key }) => key).slice(0, 7)).toEqual([...WEIGHT_TYPES])
    // The parts of one tensor are told apart by what they are, and are alike but for its name.
    const separate = await of(models.separate)
    const withoutSuffix = ({ rows, ...rest }: ModelStatistics): unknown => ({
      ...rest,
      rows: rows.map((row) => ({ ...row, suffix: '' })),
    })
    expect(withoutSuffix(fused)).toEqual(withoutSuffix(separate))
    expect(fused.rows[0]?.suffix).toBe('self_attn.qkv_proj.weight')
  })

  const predictor = {
    ...learnedMethod('paper').predictor,
    length: { unit: 'steps', value: 40 } as const,
  }
  test.each<[string, MethodSpec]>([
    ['lesa', learnedMethod('paper', { predictor, gaps: [1, 1, 3] })],
    ['lesa without SVD', learnedMethod('paper', { predictor, useSvd: false, gaps: [2] })],
    ['noise', { name: 'noise', useSvd: true, energy: 1, predictor, gaps: [2] }],
    ['neighbour-mean', { name: 'neighbour-mean', gaps: [0, 3, 3] }],
    ['llama-pro', { name: 'llama-pro', groups: 2 }],
    ['solar', { name: 'solar', overlap: 2 }],
    ['interpolation', { name: 'interpolation', gaps: [1, 3] }],
    ['stack', { name: 'stack', repeat: [1, 3] }],
  ])('grows by %s into the same model as one of separate tensors', async (_, method) => {
    const models = await bothModels()
    const [fused, separate] = [
      await grow(models.fused, method),
      await grow(models.separate, method),
    ]
    const actual = await contents(fused.out)
    expect(new Set(actual.keys())).toEqual(new Set((await contents(separate.out)).keys()))
    for (const [name, expected] of await contents(separate.out)) {
      expect(actual.get(name), name).toEqual(expected)
    }
    expect(fused.result.predictors).toEqual(separate.result.predictors)
    expect(fused.result.parameters).toBe(separate.result.parameters)
    expect(fused.analysis).toEqual(separate.analysis)
    expect(Object.keys(fused.analysis.types)).toEqual([...WEIGHT_TYPES])
    // New matrices are neither zero nor a copy, in any row of either fused tensor.
    if (fused.result.predictors.length > 0) {
      for (const layer of fused.result.new_layers) {
        for (const type of WEIGHT_TYPES) {
          const values = actual.get(`${layer} ${type}`) ?? new Float32Array(0)
          expect(
            values.some((value) => value !== 0),
            `${layer} ${type}`,
          ).toBe(true)
        }
      }
    }
    expect(await perplexityOf(fused.out)).toBe(await perplexityOf(separate.out))
  })

  test('grown by LLaMA Pro, it predicts as before', async () => {
    const models = await bothModels()
    const { out } = await grow(models.fused, { name: 'llama-pro', groups: 2 })
    expect(await perplexityOf(out)).toBe(await perplexityOf(models.fused))
  })

  test('is exported with every check passed', async () => {
    const models = await bothModels()
    const { out, result } = await grow(models.fused, { name: 'llama-pro', groups: 1 })
    const spec = expandSpec({ model: models.fused, out, method: { name: 'llama-pro', groups: 1 } })
    const exported = await run({
      kind: 'export',
      model: out,
      base: models.fused,
      out: join(await tempFolder(), 'exported'),
      overwrite: false,
      dtype: 'keep',
      maxShardBytes: 40_000,
      grown: { spec, result },
      perplexities: [],
    })
    if (exported.kind !== 'export') throw new Error(exported.kind)
    expect(exported.checks.filter(({ state }) => state !== 'passed')).toEqual([])
    // The reference declares o_proj before qkv_proj, and a shard ends between two tensors in that order.
    const index = join(exported.out, 'model.safetensors.index.json')
    const { weight_map: shards } = JSON.parse(await readFile(index, 'utf8')) as {
      weight_map: Record<string, string>
    }
    const layer = ['self_attn.o_proj', 'self_attn.qkv_proj', 'mlp.gate_up_proj', 'mlp.down_proj']
    const names = layer.map((name) => shards[`model.layers.0.${name}.weight`] ?? '')
    expect(names).toEqual([...names].sort())
  })

  test('can be made', async () => {
    const models = await bothModels()
    const folder = await tempFolder()
    const out = join(folder, 'made')
    const like = { config: join(models.fused, 'config.json') }
    await run({
      kind: 'synth',
      like,
      out,
      overwrite: false,
      layers: 3,
      dtype: 'bf16',
      maxShardBytes: 5e9,
      seed: 1,
    })
    const made = await contents(out)
    expect(made.get('2 v_proj')).toHaveLength(16 * 32)
    expect(made.get('2 k_proj')).not.toEqual(made.get('2 v_proj'))
  })

  test.each([
    ['longrope', { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [2] } }],
    ['proportional', { rope_scaling: { type: 'proportional' } }],
  ])('is grown, but not evaluated, with %s positions', async (name, config) => {
    const dir = join(await tempFolder(), 'model')
    const model = await writeTinyCheckpoint({ dir, architecture: 'phi3', vocab: 512, config })
    const refused = { code: 'unsupported_architecture', context: { actual: name } }
    await expect(perplexityOf(model)).rejects.toMatchObject(refused)
    const { result } = await grow(model, { name: 'stack' })
    expect(result.num_hidden_layers).toBe(6)
  })
})
