import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runJobIn } from '../../../../src/main/cli/job'
import { EngineClient } from '../../../../src/main/jobs/EngineClient'
import { NodeEngineProcess } from '../../../../src/main/jobs/NodeEngineProcess'
import { expandSpec } from '../../../support/specs'
import { fakeIo, NO_PATHS } from './fakeIo'

it.each([
  [{}, 'cancelled; nothing was left behind'],
  [{ job: '/work' }, 'cancelled; what was finished is kept in /work: the same command goes on'],
])('a signal before the job of %j cancels it: it is never begun', async (changes, message) => {
  const entry = join(import.meta.dirname, '../../../support/protocolEngine.mjs')
  const engine = new EngineClient(() => new NodeEngineProcess(entry))
  const io = fakeIo()
  const context = { io, paths: NO_PATHS, json: false }
  const end = await runJobIn(engine, expandSpec(changes), context, () => {
    process.emit('SIGHUP', 'SIGHUP')
    // An estimate that takes for ever.
    return new Promise(() => undefined)
  })
  expect(end).toEqual({ exitCode: 129 })
  expect(io.stderr.text).toContain(message)
  await engine.dispose()
})
