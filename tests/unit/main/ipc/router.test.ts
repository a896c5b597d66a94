import { callArguments, isCallName, type CallName } from '@shared/contract'
import { AppError } from '@shared/errors'
import { describe, expect, it, vi } from 'vitest'
import { createRouter } from '../../../../src/main/ipc/router'
import { recordingHandlers } from '../../../support/handlers'
import { evaluateSpec, expandSpec } from '../../../support/specs'

/** Arguments that are fine, and arguments that are not, of the calls whose arguments say something. */
const SAMPLES = {
  'app:info': { good: [[]], bad: [['extra']] },
  'models:inspect': { good: [['/m']], bad: [[], [''], [7], ['x'.repeat(5_000)], ['/m', '/n']] },
  'folders:list': { good: [[null], ['/']], bad: [[], [undefined], [{}]] },
  'jobs:start': {
    good: [[expandSpec()], [evaluateSpec()]],
    bad: [
      [],
      [{ ...expandSpec(), kind: 'delete' }],
      [{ ...expandSpec(), seed: -1 }],
      [{ ...expandSpec(), seed: Number.NaN }],
      [{ ...expandSpec(), out: '' }],
      [{ ...expandSpec(), method: { name: 'solar', overlap: 1.5 } }],
      [{ ...expandSpec(), method: { name: 'interpolation', gaps: [] } }],
      [{ ...evaluateSpec(), models: [] }],
      [{ ...evaluateSpec(), context: 1 }],
    ],
  },
  'jobs:cancel': { good: [['id']], bad: [[], [''], ['x'.repeat(65)]] },
  'jobs:pause': { good: [['id']], bad: [[], [''], ['x'.repeat(65)]] },
  'jobs:get': { good: [['id']], bad: [[], [{ id: 'x' }]] },
} satisfies Partial<Record<CallName, { good: unknown[][]; bad: unknown[][] }>>

const good = Object.entries(SAMPLES).flatMap(([name, samples]) =>
  samples.good.map((args) => [name, args] as const),
)
const bad = Object.entries(SAMPLES).flatMap(([name, samples]) =>
  samples.bad.map((args) => [name, args] as const),
)

describe('arguments', () => {
  it.each(good)('of %s are taken: %j', async (name, args) => {
    const { handlers, calls } = recordingHandlers()
    await createRouter(handlers).dispatch(name, args)
    expect(calls).toEqual([{ name, args }])
  })

  it.each(bad)('of %s are refused: %j', async (name, args) => {
    const { handlers, calls } = recordingHandlers()
    const envelope = await createRouter(handlers).dispatch(name, args)
    expect(envelope).toMatchObject({ ok: false, error: { code: 'bad_request' } })
    expect(calls).toEqual([])
  })

  it.each(Object.keys(callArguments))(
    'of %s are checked before its handler sees them',
    async (name) => {
      const reached = vi.fn(() => Promise.reject(new Error('reached')))
      const { handlers } = recordingHandlers({ [name]: reached })
      const surplus = Array.from({ length: 12 }, () => 'x')
      for (const args of [null, undefined, 'text', { length: 0 }, [Symbol('x')], surplus]) {
        expect(await createRouter(handlers).dispatch(name, args)).toMatchObject({
          ok: false,
          error: { code: 'bad_request' },
        })
      }
      expect(reached).not.toHaveBeenCalled()
    },
  )
})

describe('the router', () => {
  it.each([['nope'], ['__proto__'], ['constructor'], ['toString'], [42], [null], [{}]])(
    'knows no call %j',
    async (name) => {
      const { handlers } = recordingHandlers()
      expect(await createRouter(handlers).dispatch(name, [])).toMatchObject({
        ok: false,
        error: { code: 'bad_request' },
      })
    },
  )

  it('wraps the answer', async () => {
    const { handlers } = recordingHandlers()
    expect(await createRouter(handlers).dispatch('folders:list', [null])).toEqual({
      ok: true,
      value: { path: '/', parent: null, folders: [], files: [] },
    })
  })

  it('drops fields that a spec does not have', async () => {
    const { handlers, calls } = recordingHandlers()
    await createRouter(handlers).dispatch('jobs:start', [{ ...expandSpec(), command: 'rm' }])
    expect(calls[0]?.args).toEqual([expandSpec()])
  })

  it('names the field that is wrong', async () => {
    const { handlers } = recordingHandlers()
    const router = createRouter(handlers)
    expect(await router.dispatch('jobs:start', [{ ...expandSpec(), seed: -1 }])).toMatchObject({
      error: { context: { field: 'seed' } },
    })
  })

  it('passes on an error of ours whole, and no stack', async () => {
    const { handlers } = recordingHandlers({
      'jobs:get': () => {
        throw new AppError('not_found', 'Gone.', { hint: 'Look.', context: { file: 'x' } })
      },
    })
    expect(await createRouter(handlers).dispatch('jobs:get', ['x'])).toEqual({
      ok: false,
      error: { code: 'not_found', message: 'Gone.', hint: 'Look.', context: { file: 'x' } },
    })
  })

  it('makes a bug of anything else that is thrown, and tells of it', async () => {
    const bugs: AppError[] = []
    const thrown = new TypeError('undefined is not a function')
    const { handlers } = recordingHandlers({ 'jobs:list': () => Promise.reject(thrown) })
    const router = createRouter(handlers, {
      includeStacks: true,
      onBug: (error) => bugs.push(error),
    })
    const envelope = await router.dispatch('jobs:list', [])
    expect(envelope).toMatchObject({ ok: false, error: { code: 'bug', stack: thrown.stack } })
    expect(bugs[0]?.cause).toBe(thrown)
  })
})

it('names of calls are those of the validators, and not what every object has', () => {
  expect(Object.keys(callArguments).every(isCallName)).toBe(true)
  for (const name of ['hasOwnProperty', '__proto__', 'jobs:changed', '', undefined, 1]) {
    expect(isCallName(name)).toBe(false)
  }
})
