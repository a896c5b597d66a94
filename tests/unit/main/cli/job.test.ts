import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runJobIn } from '../../../../src/main/cli/job'
import { EngineClient } from '../../../../src/main/jobs/EngineClient'
import { NodeEngineProcess } from '../../../../src/main/jobs/NodeEngineProcess'
import { expandSpec } from '../../../support/specs'
import { fakeIo, NO_PATHS } from './fakeIo'

it('a signal to stop that comes before the job cancels it: it is never begun', async () => {
  const entry = join(import.meta.dirname, '../../../support/protocolEngine.mjs')
  const engine = new EngineClient(() => new NodeEngineProcess(entry))
  const io = fakeIo()
  const end = await runJobIn(engine, expandSpec(), { io, paths: NO_PATHS, json: false }, () => {
    process.emit('SIGHUP', 'SIGHUP')
    // An estimate that takes for ever.
    return new Promise(() => undefined)
  })
  expect(end).toEqual({ exitCode: 129 })
  expect(io.stderr.text).toContain('cancelled; nothing was left behind')
  await engine.dispose()
})
