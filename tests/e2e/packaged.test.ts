/**
 * @file The program as `npm run package` left it in `dist`, started as a person starts it. Its switches for debugging
 * Node are off, so that Playwright's Electron driver cannot take hold of it; Chromium's own protocol can.
 *
 * Only where `LESA_REQUIRE` names `packaged` (`vitest.config.ts`): elsewhere `dist` may hold anything.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import { describe, expect, it } from 'vitest'
import { PROJECT } from '../support/built'
import { electronSwitches } from '../support/electron'
import { isolated } from '../support/servedWorkbench'

const PROGRAMS: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  linux: ['linux-unpacked/lesa-workbench', 'linux-arm64-unpacked/lesa-workbench'],
  win32: ['win-unpacked/LESA Workbench.exe', 'win-arm64-unpacked/LESA Workbench.exe'],
  darwin: ['mac-arm64/LESA Workbench.app/Contents/MacOS/LESA Workbench'],
}

/** @throws Error when `npm run package` has left none for this system. */
function packagedProgram(): string {
  const candidates = (PROGRAMS[process.platform] ?? []).map((path) => join(PROJECT, 'dist', path))
  const found = candidates.find((path) => existsSync(path))
  if (found === undefined) throw new Error(`There is none of: ${candidates.join(', ')}`)
  return found
}

/** The line that tells where Chromium's debugging protocol is served; everything else it says is passed on. */
async function debuggingPort(child: ChildProcess): Promise<string> {
  if (!child.stderr) throw new Error('The program has no standard error.')
  const lines = createInterface(child.stderr)
  for await (const line of lines) {
    process.stderr.write(`${line}\n`)
    const port = /^DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(line)?.[1]
    if (port !== undefined) return port
  }
  throw new Error('The program ended before its window was there.')
}

interface Target {
  readonly type: string
  readonly url: string
  readonly webSocketDebuggerUrl: string
}

/** Waits for the program's page. */
async function findPage(port: string): Promise<Target> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/json/list`)
    const targets = (await response.json()) as Target[]
    const page = targets.find(({ type, url }) => type === 'page' && url.startsWith('app://lesa/'))
    if (page) return page
    await new Promise((resolve) => setImmediate(resolve))
  }
}

interface Evaluated {
  readonly id?: number
  readonly result?: {
    readonly result: { readonly value?: unknown }
    readonly exceptionDetails?: { readonly exception?: { readonly description?: string } }
  }
}

/** What an expression in the page comes to, once it is there. */
async function evaluate(page: Target, expression: string): Promise<unknown> {
  const socket = new WebSocket(page.webSocketDebuggerUrl)
  await once(socket, 'open')
  const params = { expression, awaitPromise: true, returnByValue: true }
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params }))
  try {
    for (;;) {
      const [data] = (await once(socket, 'message')) as [Buffer]
      const { id, result } = JSON.parse(data.toString()) as Evaluated
      if (id !== 1) continue
      const thrown = result?.exceptionDetails?.exception?.description
      if (thrown !== undefined) throw new Error(thrown)
      return result?.result.value
    }
  } finally {
    socket.close()
  }
}

/** Evaluated in the page: has the demo model measured, and tells how that ended. */
const MEASURE = `(async () => {
  const call = async (name, ...args) => {
    const answer = await window.lesa.call(name, args)
    if (!answer.ok) throw new Error(name + ': ' + answer.error.message)
    return answer.value
  }
  const { host, demoModel, demoText } = await call('app:info')
  const { id } = await call('jobs:start', {
    kind: 'evaluate', models: [demoModel], text: demoText, perLine: false, device: 'cpu',
  })
  const job = await new Promise((resolve, reject) => {
    const look = async () => {
      const found = await call('jobs:get', id)
      if (found.endedAt !== undefined) resolve(found)
    }
    window.lesa.subscribe('jobs:changed', () => look().catch(reject))
    look().catch(reject)
  })
  return { host, state: job.state, error: job.error ?? null, result: job.result ?? null }
})()`

describe('the packaged program', () => {
  it('opens its window and computes in its engine', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'lesa-packaged-')))
    const { ELECTRON_RUN_AS_NODE: _, ...env } = isolated(folder)
    const args = [...electronSwitches(), '--remote-debugging-port=0']
    const child = spawn(packagedProgram(), args, { env, stdio: ['ignore', 'inherit', 'pipe'] })
    const ended = once(child, 'exit')
    try {
      const page = await findPage(await debuggingPort(child))
      // What the demo model was measured to have; see resources/demo-model.
      expect(await evaluate(page, MEASURE)).toMatchObject({
        host: 'electron',
        error: null,
        state: 'succeeded',
        result: { results: [{ perplexity: expect.closeTo(1.5536, 3) as unknown }] },
      })
    } finally {
      child.kill()
      await ended
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
    }
  })
})
