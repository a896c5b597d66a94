import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { isAlive } from '@system/processes'
import { expect, it, vi } from 'vitest'
import { WATCH } from '../../../../src/main/engine/process/watchParent'

it('ends a process whose parent was killed, though its own thread is deaf', async () => {
  const child = `
    const { Worker } = require('node:worker_threads')
    const workerData = { parent: process.ppid, lookMs: 20, graceMs: 50 }
    const worker = new Worker(${JSON.stringify(WATCH)}, { eval: true, workerData })
    worker.once('online', () => {
      require('node:fs').writeSync(1, process.pid + '\\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const parent = spawn(process.execPath, [
    '-e',
    `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' })
     setInterval(() => {}, 1000)`,
  ])
  const [output] = (await once(parent.stdout, 'data')) as [Buffer]
  const pid = Number(String(output))
  expect(isAlive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 30_000 })
})
