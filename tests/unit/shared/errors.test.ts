import { describe, expect, test } from 'vitest'
import { AppError, toAppError } from '@shared/errors'
import { fewOf, shortened, shown } from '@shared/text'

const LONG = `start-${'x'.repeat(100_000)}-end`
const TRICKS =
  '\u001b[31mred\u001b]0;title\u0007\r\b\u0000\u009b2J\u202egpj.exe\u2066\u200f\u2028\ufeff'
// eslint-disable-next-line no-control-regex -- what must not be left
const UNSHOWABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/

function everyText(error: AppError): string[] {
  const { message, hint = '', context = {} } = error.toData()
  return [message, hint, ...Object.values(context)]
}

describe('whatever names are put into an error', () => {
  const error = new AppError('bad_checkpoint', `"${LONG}" is not there: ${TRICKS}.`, {
    hint: `Look at ${LONG}.`,
    context: {
      file: `/models/${LONG}`,
      tensor: TRICKS,
      expected: LONG,
      actual: `${TRICKS}${LONG}`,
    },
  })

  test('it stays short, and both ends of a long one are shown', () => {
    for (const text of everyText(error)) expect(text.length).toBeLessThanOrEqual(480)
    for (const text of Object.values(error.context ?? {})) {
      expect(text.length).toBeLessThanOrEqual(240)
    }
    expect(error.context?.file).toMatch(/^\/models\/start-x+…x+-end$/)
    expect(JSON.stringify(error.toData()).length).toBeLessThan(10_000)
    expect(error.stack?.length).toBeLessThan(5_000)
  })

  test('nothing moves a cursor, colours a terminal or turns the order of letters', () => {
    for (const text of everyText(error)) expect(text).not.toMatch(UNSHOWABLE)
    expect(error.context?.tensor).toContain('\\u202egpj.exe')
  })

  test('it is the same on the other side of a process', () => {
    expect(AppError.fromData(error.toData()).toData()).toEqual(error.toData())
  })

  test('also in errors of others', () => {
    const found = toAppError(new TypeError(`${LONG}${TRICKS}`)).toData()
    expect(found.message.length).toBeLessThanOrEqual(480)
    expect(found.stack?.length).toBeLessThanOrEqual(6_000)
  })
})

test('ordinary names, of any script, are shown as they are', () => {
  const name = 'C:\\modèles\\模型 🤖\\می‌خواهم "x"'
  expect(
    new AppError('not_found', `${name} is not there.`, { context: { file: name } }),
  ).toMatchObject({ message: `${name} is not there.`, context: { file: name } })
})

test('an error learns its file only where it does not know one', () => {
  const error = new AppError('unsupported_architecture', 'No.', { hint: 'Why.', cause: 1 })
  expect(error.about('/a')).toMatchObject({ hint: 'Why.', context: { file: '/a' }, cause: 1 })
  expect(error.about('/a').about('/b').context).toEqual({ file: '/a' })
})

test('a cut leaves no half of a character', () => {
  for (let most = 3; most < 12; most += 1) {
    const text = shortened('😀'.repeat(40), most)
    expect(text.length).toBeLessThanOrEqual(most)
    expect(text).not.toMatch(/\p{Surrogate}/u)
  }
  expect(shown('a\n  b\tc')).toBe('a ↵ b\\u0009c')
})

test('of many names the first are told', () => {
  expect(fewOf(['a', 'b', 'c'])).toBe('a, b, c')
  expect(fewOf(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 more')
  expect(fewOf([LONG, LONG]).length).toBeLessThan(200)
})
