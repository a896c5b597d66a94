import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { ARCHITECTURES, WRAPPERS } from '../../../../src/main/engine/architectures'
import { BY_TYPE } from '../../../../src/main/engine/architectures/unsupported'

const page = readFileSync(resolve(import.meta.dirname, '../../../../docs/families.md'), 'utf8')
const tables = page
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.slice(2, -2).split(' | '))
const COLUMNS = ['family', 'class', '`model_type`', 'inspect', 'copies', 'predicted', 'matched']
const FITTED = COLUMNS.length

test('every table of families has the same columns', () => {
  const heads = tables.filter(([first]) => first === 'family')
  expect(heads).toHaveLength(4)
  for (const head of heads) expect(head.slice(0, FITTED + 1)).toEqual([...COLUMNS, 'fitted'])
})

const HEAD = tables.find(([first]) => first === 'family') ?? []

/** What its layers have that is not computed. */
function missingOf(modelType: string): string | undefined {
  const family = [...ARCHITECTURES, ...WRAPPERS].find((each) => each.modelType === modelType)
  if (!family) throw new Error(modelType)
  if ('forward' in family) return family.forward.missing
  return 'absent' in family.decoder ? undefined : family.decoder.forward.missing
}

/** Whether norms stand behind branches, or layers have experts: then nothing is fitted. */
function canBeFitted(modelType: string): boolean | null {
  const family = ARCHITECTURES.find((each) => each.modelType === modelType)
  if (family) {
    const isPlain = !family.hasPostNorms && family.configRules.experts === null
    return isPlain && family.forward.missing === undefined
  }
  const decoder = WRAPPERS.find((each) => each.modelType === modelType)?.decoder
  if (!decoder || 'absent' in decoder) return null
  const { afterAttention, missing } = decoder.forward
  return afterAttention === null && decoder.config.experts === null && missing === undefined
}

test.each([...ARCHITECTURES, ...WRAPPERS].map((each) => [each.modelType, each.architectureName]))(
  'the page says of %s what can be done with it',
  (modelType, architectureName) => {
    const rows = tables.filter(
      (cells) => cells[1] === `\`${architectureName}\`` && cells[2] === `\`${modelType}\``,
    )
    expect(rows).toHaveLength(1)
    const fitted = { true: 'yes', false: 'no', null: 'as its decoder' }
    expect(rows[0]?.[FITTED]).toBe(fitted[`${canBeFitted(modelType)}`])
    const isRun = missingOf(modelType) === undefined
    for (const column of ['matched', 'evaluate', 'pretrain']) {
      expect(rows[0]?.[HEAD.indexOf(column)], column).toBe(isRun ? 'yes' : 'no')
    }
  },
)

test('the page has every reason for a refusal, with the types that it is for', () => {
  for (const { clause, types } of BY_TYPE) {
    const reason = clause.replace(/^(?:has|is) /, '')
    const named = types.map((type) => `\`${type}\``).join(', ')
    expect(tables).toContainEqual([reason, named])
  }
})
