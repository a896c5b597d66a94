/**
 * @file A child process that speaks the engine's protocol and misbehaves on demand, for tests of its supervisor. What a
 * job does is told by its spec's `model` path: see `jobs` below.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs'

const send = (message) => new Promise((resolve) => process.send(message, resolve))
const cancels = new Map()
const pauses = new Map()

const result = (spec) => ({ kind: 'evaluate', results: [], spec })

const jobs = {
  /** Two events and a result. */
  async '/ok'(jobId, spec) {
    await send({ type: 'job:event', jobId, event: { type: 'log', level: 'info', text: 'one' } })
    await send({
      type: 'job:event',
      jobId,
      event: { type: 'metric', series: 'loss', x: [0], y: [Number.NaN] },
    })
    return { state: 'succeeded', result: result(spec) }
  },
  async '/fail'() {
    return {
      state: 'failed',
      error: { code: 'bad_checkpoint', message: 'No.', hint: 'Try.', context: { file: 'x' } },
    }
  },
  /** Leaves an unfinished output behind and dies. */
  async '/crash'(jobId, spec) {
    mkdirSync(`${spec.out}.partial`, { recursive: true })
    await send({ type: 'job:event', jobId, event: { type: 'log', level: 'info', text: 'begun' } })
    await new Promise((resolve) =>
      process.stderr.write('terminate called: out of sorts\n', resolve),
    )
    process.exit(134)
  },
  /** Waits for the cancel message, cleans up, and says so. */
  async '/polite'(jobId, spec) {
    mkdirSync(`${spec.out}.partial`, { recursive: true })
    const cancelled = new Promise((resolve) => cancels.set(jobId, resolve))
    await send({ type: 'job:event', jobId, event: { type: 'log', level: 'info', text: 'begun' } })
    await cancelled
    rmSync(`${spec.out}.partial`, { recursive: true })
    return { state: 'cancelled' }
  },
  /** Keeps what it has when it is asked to, and says that it has. */
  async '/pauses'(jobId) {
    const asked = new Promise((resolve) => pauses.set(jobId, resolve))
    await send({ type: 'job:event', jobId, event: { type: 'log', level: 'info', text: 'begun' } })
    await asked
    await send({ type: 'job:event', jobId, event: { type: 'log', level: 'info', text: 'kept' } })
    return { state: 'cancelled' }
  },
  /** Computes for ever without reading a message, as native code would. */
  async '/stubborn'(jobId, spec) {
    if (!existsSync(`${spec.out}.partial`)) mkdirSync(`${spec.out}.partial`, { recursive: true })
    await send({ type: 'job:event', jobId, event: { type: 'log', level: 'info', text: 'begun' } })
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  },
}

const calls = {
  inspect: async (path) => {
    if (path === '/crash') process.kill(process.pid, 'SIGKILL')
    if (path === '/for ever') await new Promise(() => {})
    if (path === '/missing') {
      throw { code: 'not_found', message: 'There is no model.', context: { file: path } }
    }
    return { path, pid: process.pid, env: Object.keys(process.env), execArgv: process.execArgv }
  },
  devices: async () => [],
}

process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit(0))
process.on('message', async (message) => {
  if (message.type === 'call') {
    const { id } = message
    try {
      await send({
        type: 'answer',
        id,
        ok: true,
        value: await calls[message.name](...message.args),
      })
    } catch (error) {
      await send({ type: 'answer', id, ok: false, error })
    }
  } else if (message.type === 'job:start') {
    const { jobId, spec } = message
    const outcome = await jobs[spec.model](jobId, spec)
    await send({ type: 'job:end', jobId, outcome })
  } else if (message.type === 'job:pause') {
    pauses.get(message.jobId)?.()
  } else {
    cancels.get(message.jobId)?.()
  }
})

await send({ type: 'ready' })
