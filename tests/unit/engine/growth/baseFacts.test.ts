import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import yaml from 'js-yaml'
import { beforeEach, describe, expect, it } from 'vitest'
import { planExpansion } from '@shared/plan'
import { readBaseFacts, unknownBase } from '../../../../src/main/engine/growth/baseFacts'
import { readFrontMatter, writeFrontMatter } from '../../../../src/main/engine/growth/frontMatter'
import type { GrowthRecord } from '../../../../src/main/engine/growth/lesaJson'
import { modelCard } from '../../../../src/main/engine/growth/modelCard'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { cacheModel, REVISION } from '../../../support/hubCache'
import { tempFolder } from '../../../support/tempFolder'

let root: string
let model: string
beforeEach(async () => {
  root = await tempFolder()
  model = await writeTinyCheckpoint({ dir: join(root, 'model') })
})

const CARD = `---
language:
- en
- "no"
license: other   # see below
license_name: 'llama''s own'
license_link: "LICENSE"
base_model:
  - org/ancestor
tags: [a, "b: c"]
model-index:
- name: x
extra_gated_prompt: >-
  many
  lines
---

# A model
license: mit
`

const record = (changes: Partial<GrowthRecord>): GrowthRecord => ({
  spec: {
    model,
    method: { name: 'solar' },
    rest: 'mean',
    dtype: 'keep',
    maxShardBytes: 5e9,
    device: 'auto',
    seed: 7,
  },
  plan: planExpansion({ name: 'solar' }, 4),
  architecture: 'LlamaForCausalLM',
  pipeline: 'text-generation',
  layersBefore: 4,
  parameters: 1,
  dtypes: ['BF16'],
  engineVersion: '1',
  device: null,
  predictors: [],
  perplexities: [],
  base: unknownBase(model),
  warnings: [],
  ...changes,
})

/** The head of a card, by a reader that is not the product's. */
function headOf(card: string): Record<string, unknown> {
  const end = card.indexOf('\n---\n', 4)
  return yaml.load(card.slice(4, end)) as Record<string, unknown>
}

describe('what is known of a base model', () => {
  it('is taken over from its card: licence and languages', async () => {
    await writeFile(join(model, 'README.md'), CARD)
    expect(await readBaseFacts(model, {})).toEqual({
      name: 'model',
      id: 'org/ancestor',
      revision: null,
      license: 'other',
      licenseName: "llama's own",
      licenseLink: 'LICENSE',
      languages: ['en', 'no'],
    })
  })

  it('names its repository: by the cache, else by what the config was loaded from', async () => {
    await writeFile(join(model, 'README.md'), CARD)
    const snapshot = await cacheModel({ cache: join(root, 'hub'), model, repository: 'org/tiny' })
    expect(await readBaseFacts(snapshot, { _name_or_path: 'org/other' })).toMatchObject({
      name: 'org/tiny',
      id: 'org/tiny',
      revision: REVISION,
      license: 'other',
    })
    expect((await readBaseFacts(model, { _name_or_path: 'org/other' })).id).toBe('org/other')
    const plain = await writeTinyCheckpoint({ dir: join(root, 'plain') })
    for (const path of ['./out', '/data/x', 'llama', 'a/b/c', 7, '']) {
      expect((await readBaseFacts(plain, { _name_or_path: path })).id, String(path)).toBeNull()
    }
  })

  it('is what the grown model has taken over, when the base is gone', async () => {
    await writeFile(join(model, 'README.md'), CARD)
    const facts = await readBaseFacts(join(root, 'gone'), {}, model)
    expect(facts).toMatchObject({ name: 'gone', license: 'other', languages: ['en', 'no'] })
  })

  it('is nothing of a card that is none', async () => {
    for (const card of [
      '',
      '<html>',
      '---\n',
      '---\nlicense: [\n---',
      '---\nlicense: {a: 1}\n---',
    ]) {
      await writeFile(join(model, 'README.md'), card)
      expect((await readBaseFacts(model, {})).license, card).toBe('')
    }
  })
})

describe('the head of a card', () => {
  it('is what the hub expects', async () => {
    await writeFile(join(model, 'README.md'), CARD)
    const base = await readBaseFacts(model, { _name_or_path: 'org/tiny' })
    const card = modelCard(record({ base }))
    expect(headOf(card)).toEqual({
      library_name: 'transformers',
      pipeline_tag: 'text-generation',
      base_model: 'org/tiny',
      base_model_relation: 'finetune',
      license: 'other',
      license_name: "llama's own",
      license_link: 'LICENSE',
      language: ['en', 'no'],
      tags: ['depth-up-scaling', 'solar'],
    })
  })

  it('names no base that is not known, never a folder', () => {
    const head = headOf(modelCard(record({})))
    expect(head).not.toHaveProperty('base_model')
    expect(head).not.toHaveProperty('base_model_relation')
  })

  it('says what a person has written, whatever that is', () => {
    const title = 'A "new": model\n# 新しい | \u2028 model'
    const card = modelCard(
      record({
        base: { ...unknownBase(model), license: 'other', licenseName: 'x', licenseLink: 'y' },
        card: {
          title,
          author: 'Jo: "x"',
          baseModel: 'org/mine',
          license: 'apache-2.0',
          languages: ['de', 'no', 'yes'],
        },
      }),
    )
    expect(headOf(card)).toMatchObject({
      base_model: 'org/mine',
      license: 'apache-2.0',
      language: ['de', 'no', 'yes'],
    })
    expect(headOf(card)).not.toHaveProperty('license_name')
    expect(card).toContain('\n# A "new": model # 新しい |   model\n\nBy Jo: "x".\n')
  })

  it('is YAML whatever the texts are', () => {
    const texts = [
      'plain',
      'a: b',
      '- x',
      '"quoted"',
      "it's",
      'no',
      'null',
      '1.5',
      '# not a remark',
      'tab\tnew\nline',
      '\u0000\u0085\u2028\ufeff',
      '新しい 🚀',
      '{a}',
      '\\',
      '~',
      '!tag',
      '@x',
      '%y',
      'x #y',
      '',
    ]
    const block = writeFrontMatter({
      list: texts,
      ...Object.fromEntries(texts.map((text, i) => [`k${i}`, text])),
    })
    const read = yaml.load(block.slice(4, -4)) as Record<string, unknown>
    expect(read['list']).toEqual(texts)
    texts.forEach((text, i) => {
      if (text !== '') expect(read[`k${i}`]).toBe(text)
    })
    expect(readFrontMatter(block)['list']).toEqual(texts)
  })
})

describe('measured perplexities', () => {
  it('name their text and say how far they can be trusted', () => {
    const card = modelCard(
      record({
        perplexities: [
          {
            model: '/x/models--org--tiny/snapshots/abc',
            text: 'a|b\nc.txt',
            perLine: true,
            perplexity: 10,
            tokens: 5000,
            predicted: 4999,
            standardError: 0.01,
            context: 128,
            num_hidden_layers: 4,
            seconds: 1,
          },
        ],
      }),
    )
    expect(card).toContain(
      '| Model | Text | Layers | Perplexity | 95 % interval | Tokens | Context |',
    )
    expect(card).toContain(
      '| org/tiny | a\\|b c.txt (mean over lines) | 4 | 10.0000 | 9.8059 – 10.198 | 5000 | 128 |',
    )
  })
})
