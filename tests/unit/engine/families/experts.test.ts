import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelStatistics } from '@shared/statistics'
import { describe, expect, onTestFinished, test } from 'vitest'
import { architectureOf } from '../../../../src/main/engine/architectures'
import { multipliedElements } from '../../../../src/main/engine/architectures/Architecture'
import { mlpSize, parseConfig } from '../../../../src/main/engine/architectures/config'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { familyModel } from '../../../support/familyCases'
import { runTask } from '../../../support/jobs'
import { tempFolder } from '../../../support/tempFolder'

async function open(name: string): Promise<Checkpoint> {
  const checkpoint = await Checkpoint.open(familyModel(name))
  onTestFinished(() => checkpoint.close())
  return checkpoint
}

describe.each(['mixtral', 'qwen2_moe', 'qwen3_moe', 'olmoe'])('%s', (name) => {
  test('has as many parameters a token as the layers that it passes', async () => {
    const checkpoint = await open(name)
    const { architecture, config } = checkpoint
    const { experts, parameters } = checkpoint.summarize()
    const idle = config.experts!.isSparse.reduce((sum, isSparse, layer) => {
      const all = checkpoint.slotsOf(layer).reduce((own, { expert, weight }) => {
        return own + (expert === null ? 0 : weight.shape[0]! * weight.shape[1]!)
      }, 0)
      return sum + (isSparse ? all * (1 - config.experts!.perToken / config.experts!.count) : 0)
    }, 0)
    expect(experts?.active_parameters).toBe(Math.round(parameters - idle))
    expect(experts?.layers).toBe(config.experts!.isSparse.filter(Boolean).length)
    const sparse = config.experts!.isSparse.indexOf(true)
    const { count, perToken } = config.experts!
    const [active, whole] = [perToken, count].map((per) =>
      multipliedElements(
        architecture,
        { ...config, experts: { ...config.experts!, perToken: per } },
        sparse,
      ),
    )
    expect(active).toBeLessThan(whole!)
    expect(mlpSize(config).rows).toBe(
      perToken + (config.experts!.sharedIntermediateSize === null ? 0 : 1),
    )
  })

  test('is measured layer by layer, all experts of a layer together', async () => {
    const checkpoint = await open(name)
    const file = join(await tempFolder(), 'statistics.json')
    await runTask({ kind: 'statistics', model: familyModel(name), file })
    const { rows } = JSON.parse(await readFile(file, 'utf8')) as ModelStatistics
    const { isSparse } = checkpoint.config.experts!
    const row = rows.find(({ key }) => key === 'experts.up_proj')!
    expect(row.cells.map((cell) => cell !== null)).toEqual(isSparse)
    const dense = rows.find(({ key }) => key === 'up_proj')
    if (isSparse.includes(false)) {
      expect(dense?.cells.map((cell) => cell === null)).toEqual(isSparse)
    } else expect(dense).toBeUndefined()
    const layer = isSparse.indexOf(true)
    let squares = 0
    for (const { id, weight } of checkpoint.slotsOf(layer)) {
      if (id !== 'experts.up_proj') continue
      const name = checkpoint.layerTensorName(layer, weight.tensor)
      for (const value of await checkpoint.readFloat32(name)) squares += value * value
    }
    expect(row.cells[layer]?.norm).toBeCloseTo(Math.sqrt(squares), 5)
  })
})

describe('the config of a deeper model', () => {
  const raw = {
    model_type: 'qwen3_moe',
    architectures: ['Qwen3MoeForCausalLM'],
    num_hidden_layers: 4,
    hidden_size: 16,
    intermediate_size: 24,
    num_attention_heads: 4,
    vocab_size: 10,
  }
  const isSparse = (config: Record<string, unknown>): readonly boolean[] | undefined =>
    parseConfig(config, architectureOf(config, '').configRules, '').experts?.isSparse

  test.each([
    ['experts in every layer', {}, [0, 1, 1, 2, 3], false],
    ['a step that fits', { decoder_sparse_step: 2 }, [0, 1, 0, 1, 2, 3], false],
    ['a step that no longer fits', { decoder_sparse_step: 2 }, [0, 1, 1, 2, 3], true],
    ['dense layers by number', { mlp_only_layers: [0, 2] }, [0, 1, 2, 2, 3], false],
    ['both', { mlp_only_layers: [3], decoder_sparse_step: 2 }, [0, 1, 2, 2, 3], true],
    ['a step beyond the last layer', { decoder_sparse_step: 5 }, [0, 1, 2, 3, 3, 3], true],
  ] as const)('with %s has them where they came from', (_, keys, sources, changes) => {
    const base = { ...raw, ...keys }
    const deepened = architectureOf(base, '').deepenConfig(base, sources)
    const before = isSparse(base)
    const own = sources.map((source) => before?.[source] === true)
    expect(isSparse(deepened) ?? own.map(() => false)).toEqual(own)
    expect(deepened['decoder_sparse_step'] === 1).toBe(changes)
  })
})
