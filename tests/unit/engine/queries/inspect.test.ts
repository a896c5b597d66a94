import { expect, it, onTestFinished } from 'vitest'
import { METHODS } from '@shared/methods'
import { requireSuited } from '../../../../src/main/engine/growth/suited'
import { Checkpoint } from '../../../../src/main/engine/checkpoint/Checkpoint'
import { previewGrowth } from '../../../../src/main/engine/queries/growthPreview'
import { inspectModel } from '../../../../src/main/engine/queries/inspect'
import { DEFAULT_DRAFT, runSettingsOf } from '@shared/projects'
import { FAMILY_CASES, familyModel } from '../../../support/familyCases'

it.each([
  ['qwen3_vl', []],
  ['gemma2', ['fitted']],
  ['gemma3', ['fitted']],
  ['mixtral', ['fitted', 'opt-deus']],
  ['lfm2', ['opt-deus']],
])('says of %s which methods cannot grow it, and why', async (family, methods) => {
  const { refused_methods: refused } = await inspectModel(familyModel(family))
  expect(Object.keys(refused ?? {})).toEqual(methods)
  for (const method of methods) {
    expect(Object.entries(refused ?? {}).find(([name]) => name === method)?.[1]).toMatchObject({
      code: 'unsupported_architecture',
      hint: expect.stringMatching(/\w/) as unknown,
      context: { file: familyModel(family) },
    })
  }
  expect(refused === undefined).toBe(methods.length === 0)
})

it.each(FAMILY_CASES)(
  'of %s refuses the plan of such a method, and of no other',
  async (family) => {
    const model = familyModel(family)
    const checkpoint = await Checkpoint.open(model)
    onTestFinished(() => checkpoint.close())
    const { refused_methods: refused = {} } = await inspectModel(model)
    for (const method of METHODS) {
      const preview = previewGrowth(model, runSettingsOf({ ...DEFAULT_DRAFT, method }))
      if (method in refused) {
        await expect(preview).rejects.toMatchObject({ code: 'unsupported_architecture' })
        expect(() => {
          requireSuited(method, checkpoint)
        }).toThrow(refused[method]?.message)
      } else expect((await preview).layersAfter).toBeGreaterThan(4)
    }
  },
)
