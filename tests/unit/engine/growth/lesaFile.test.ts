import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TrainingRecord } from '@shared/pretraining'
import { describe, expect, it } from 'vitest'
import { readLesaFile, withTraining } from '../../../../src/main/engine/growth/lesaFile'
import { trainingSection } from '../../../../src/main/engine/growth/trainingSection'
import { tempFolder } from '../../../support/tempFolder'

const RECORD: TrainingRecord = {
  steps: 100,
  tokens: 819_200,
  context: 1024,
  batch: 8,
  lr: 2e-4,
  output_lr_factor: 10,
  schedule: 'wsd',
  warmup: 10,
  weight_decay: 0.01,
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  clip: 1,
  trained_layers: [4, 9, 10, 11],
  trained_parts: 'all',
  order: 'shuffled',
  seed: 0,
  texts: [{ name: 'law | notes\n.txt', bytes: 4e6, documents: 12, tokens: 1_000_000 }],
  loss: { first: 3.25, last: 2.5 },
  eval: { text: 'held.txt', tokens: 50_000, first: 3.3, last: 2.61 },
  forgetting: null,
  device: 'cpu',
}
const MODEL = { architecture: 'LlamaForCausalLM', layers: 12 }

describe('lesa.json', () => {
  it('keeps what it says, and tells one training after the other', async () => {
    const folder = await tempFolder()
    const file = join(folder, 'lesa.json')
    await writeFile(file, '{"schema_version": 1, "new_layers": [4], "of_its_own": {"a": [1]}}')
    for (const seed of [0, 1]) {
      const text = withTraining(await readLesaFile(folder), MODEL, { ...RECORD, seed })
      await writeFile(file, text)
    }
    const read = await readLesaFile(folder)
    expect(read?.trainings).toEqual([RECORD, { ...RECORD, seed: 1 }])
    expect(read?.content).toMatchObject({ new_layers: [4], of_its_own: { a: [1] } })
  })

  it('of a model that has none names the program and the model', async () => {
    const folder = await tempFolder()
    const read = await readLesaFile(folder)
    expect(read).toBeNull()
    expect(JSON.parse(withTraining(read, MODEL, RECORD))).toMatchObject({
      generator: { name: 'LESA Workbench' },
      architecture: 'LlamaForCausalLM',
      training: [RECORD],
    })
  })

  it.each([
    ['no JSON', 'new_layers: 4', undefined],
    ['a list', '[1]', undefined],
    ['another training', '{"training": {"steps": 3}}', 'training'],
    ['a training without its steps', '{"training": [{"tokens": 3}]}', 'training.0.steps'],
  ])('that is %s is refused', async (_what, text, field) => {
    const folder = await tempFolder()
    await writeFile(join(folder, 'lesa.json'), text)
    await expect(readLesaFile(folder)).rejects.toMatchObject({
      code: 'bad_checkpoint',
      context: { file: join(folder, 'lesa.json'), ...(field === undefined ? {} : { field }) },
    })
  })
})

describe("the model card's section", () => {
  it('tells what was trained, on what, how, and what came of it', () => {
    const section = trainingSection(RECORD, 0)
    expect(section).toMatch(/^## Training\n\nThen trained for 100 steps on 819 k tokens/)
    expect(section).toContain('4, 9–11')
    expect(section).toContain('| law \\| notes .txt | 4.00 MB | 12 | 1000000 |')
    expect(section).toContain('| learning rate | 2e-4 |')
    expect(section).toContain('× 10')
    expect(section).toContain('| evaluation: held.txt (50000 tokens) | 3.3000 | 2.6100 |')
    expect(section).toContain('forgotten of other texts was not measured')
  })

  it('says of one without evaluation what is not known', () => {
    const section = trainingSection({ ...RECORD, eval: null, output_lr_factor: 1, clip: 0 }, 1)
    expect(section).toMatch(/^## Training 2\n/)
    expect(section).toContain('text that it has not seen is not known')
    expect(section).toContain('| longest gradient | any |')
    expect(section).not.toContain('zero output matrices')
  })
})
