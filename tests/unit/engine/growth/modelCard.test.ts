import type { MethodSpec } from '@shared/methods'
import { METHODS, methodNamed } from '@shared/methods'
import { planExpansion } from '@shared/plan'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { describe, expect, it } from 'vitest'
import { unknownBase } from '../../../../src/main/engine/growth/baseFacts'
import { lesaJson, type GrowthRecord } from '../../../../src/main/engine/growth/lesaJson'
import { modelCard } from '../../../../src/main/engine/growth/modelCard'

const learned = { useSvd: true, energy: 1, predictor: PRESET_SETTINGS.paper }

function recordOf(method: MethodSpec, changes: Partial<GrowthRecord> = {}): GrowthRecord {
  const { layersBefore = 4 } = changes
  return {
    spec: {
      model: '/models/Tiny-1B',
      method,
      rest: 'mean',
      dtype: 'keep',
      maxShardBytes: 5e9,
      device: 'auto',
      seed: 7,
    },
    plan: planExpansion(method, layersBefore),
    architecture: 'LlamaForCausalLM',
    pipeline: 'text-generation',
    layersBefore,
    parameters: 12_345_678,
    dtypes: ['BF16'],
    engineVersion: '1.2.3',
    device: null,
    predictors: [],
    perplexities: [],
    base: unknownBase('/models/Tiny-1B'),
    warnings: [],
    ...changes,
  }
}

const report = {
  weightType: 'q_proj',
  rank: 32,
  samples: 64,
  steps: 5,
  lossPerEpoch: [2, 1.5],
  mse: 0.5,
  mseOfZero: 1,
  mseOfMean: 0.75,
  normRatio: 0.9,
}

describe('the model card', () => {
  it('says what was grown from what, how, and by whom it was published', () => {
    const card = modelCard(recordOf({ name: 'solar', overlap: 1 }))
    expect(
      card.startsWith(
        '---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- depth-up-scaling\n- solar\n---\n',
      ),
    ).toBe(true)
    expect(card).toContain('# Tiny-1B, 4 → 6 layers (SOLAR)\n')
    expect(card).toContain(
      'Grown from **Tiny-1B** (LlamaForCausalLM) with SOLAR by LESA Workbench 1.2.3: 2 new layers, 12.3 M parameters in ' +
        'BF16. The first layers followed by the last ones of a second copy (Kim et al., SOLAR 10.7B, 2023, arXiv ' +
        '2312.15166).',
    )
    expect(card).toContain('| 3 | copy of base layer 1 |\n| 4 | copy of base layer 2 |')
  })

  it('lists the parameters, those that followed from others too', () => {
    expect(modelCard(recordOf({ name: 'llama-pro', groups: 2 }))).toContain(
      '| Parameter | Value |\n| --- | --- |\n| groups | 2 |\n| after | 1, 3 |\n' +
        '| norm weights and biases | mean |\n| dtype | keep |\n| seed | 7 |\n| device | none needed |\n',
    )
  })

  it('says of computed layers between which they lie, and of identity copies what is zero', () => {
    expect(modelCard(recordOf({ name: 'neighbour-mean', gaps: [1] }))).toContain(
      '| 2 | between layers 1 and 3 of this model (gap 1) |',
    )
    expect(modelCard(recordOf({ name: 'llama-pro', groups: 1 }))).toContain(
      '| 4 | copy of base layer 3, adds nothing |',
    )
  })

  it('shows predictors and warnings only where there are some', () => {
    const plain = modelCard(recordOf({ name: 'lesa', ...learned }))
    expect(plain).not.toContain('## Predictors')
    expect(plain).not.toContain('## Warnings')
    const full = modelCard(
      recordOf({ name: 'lesa', ...learned }, { predictors: [report], warnings: ['Too few.'] }),
    )
    expect(full).toContain(
      '| q_proj | 64 | 5 | 1.500e+0 | 5.000e-1 | 1.000e+0 | 7.500e-1 | 0.900 | – |',
    )
    expect(full.endsWith('## Warnings\n\n- Too few.\n')).toBe(true)
  })

  it.each(METHODS)('has a sentence for %s', (name) => {
    const spec = (
      'predictor' in methodNamed(name).options ? { name, ...learned } : { name }
    ) as MethodSpec
    expect(modelCard(recordOf(spec))).toContain(methodNamed(name).note)
  })
})

describe('further checkpoints', () => {
  it('are named in the card and in lesa.json, without where they lay', () => {
    const record = recordOf({ name: 'lesa', ...learned })
    const also = ['/elsewhere/step-1000', '/elsewhere/step-2000']
    const full = { ...record, spec: { ...record.spec, also } }
    expect(modelCard(full)).toContain('| further checkpoints | step-1000, step-2000 |')
    expect(JSON.parse(lesaJson(full))).toMatchObject({
      settings: { also: ['step-1000', 'step-2000'] },
    })
    expect(modelCard(record) + lesaJson(record)).not.toMatch(/further checkpoints|"also"/)
  })
})

describe('lesa.json', () => {
  it('maps every layer, and keeps what was asked for beside what it came to', () => {
    const data = JSON.parse(lesaJson(recordOf({ name: 'neighbour-mean', gaps: [1] }))) as object
    expect(data).toMatchObject({
      schema_version: 1,
      method: 'neighbour-mean',
      num_hidden_layers: { before: 4, after: 5 },
      new_layers: [2],
      layer_map: [0, 1, null, 2, 3],
      layers: [
        { index: 0, kind: 'original', source: 0 },
        { index: 1, kind: 'original', source: 1 },
        { index: 2, kind: 'neighbour-mean', gap: 1, between: [1, 3] },
        { index: 3, kind: 'original', source: 2 },
        { index: 4, kind: 'original', source: 3 },
      ],
      settings: { gaps: [1], rest: 'mean', dtype: 'keep', max_shard_bytes: 5e9 },
    })
  })

  it('has its keys in one order, whoever made the spec', () => {
    const { useSvd, energy, predictor } = learned
    const five = { layersBefore: 5 }
    const one = lesaJson(recordOf({ name: 'lesa', useSvd, energy, predictor, holdout: [1] }, five))
    const other = lesaJson(
      recordOf({ holdout: [1], predictor, energy, useSvd, name: 'lesa' }, five),
    )
    expect(one).toBe(other)
    expect(one.endsWith('}\n')).toBe(true)
  })
})
