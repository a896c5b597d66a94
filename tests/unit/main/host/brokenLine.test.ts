import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobEvent, JobOutcome, JobSnapshot } from '@shared/jobs'
import { SOCKET_PATH } from '@shared/wire'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { serveWorkbench, type BrowserHost } from '../../../../src/main/host/browser'
import { PushHub } from '../../../../src/main/ipc/pushes'
import { createRouter } from '../../../../src/main/ipc/router'
import { JobManager } from '../../../../src/main/jobs/JobManager'
import { WebSocketTransport } from '../../../../src/renderer/src/api/WebSocketTransport'
import { useJobsStore } from '../../../../src/renderer/src/stores/jobs'
import { activatePinia } from '../../../support/fakeTransport'
import { recordingHandlers } from '../../../support/handlers'
import { expandSpec } from '../../../support/specs'

/** A window's jobs, behind the browser host's real socket. */

const ask = fetch

let folder: string
let host: BrowserHost
let jobs: JobManager
let emit: (event: JobEvent) => void
let end: (outcome: JobOutcome) => void
let sockets: WebSocket[]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lesa-line-'))
  sockets = []
  const pushes = new PushHub()
  jobs = new JobManager((_spec, { onEvent }) => {
    emit = onEvent
    return new Promise((resolve) => (end = resolve))
  })
  jobs.subscribe((_job, update) => pushes.emit('jobs:changed', update))
  const { handlers } = recordingHandlers({
    'jobs:get': (id) => jobs.get(id),
    'jobs:list': () => jobs.list(),
  })
  host = await serveWorkbench({
    port: 0,
    router: createRouter(handlers),
    pushes,
    rendererDir: folder,
  })
  const page = await ask(host.url)
  const cookie = page.headers.get('set-cookie')?.split(';')[0] ?? ''
  // A browser sends its cookie with whatever it asks of the page's own address.
  vi.stubGlobal('fetch', (input: URL, init: RequestInit) =>
    ask(input, { ...init, headers: { cookie } }),
  )
  vi.stubGlobal(
    'WebSocket',
    class extends WebSocket {
      constructor(url: string) {
        super(url, { headers: { cookie, origin: `http://127.0.0.1:${host.port}` } })
        sockets.push(this)
      }
    },
  )
})

afterEach(async () => {
  // A transport comes back for ever: from now on to a line that never opens.
  vi.stubGlobal('WebSocket', EventTarget)
  await host.close()
  rmSync(folder, { recursive: true, force: true })
})

function openWindow(): ReturnType<typeof useJobsStore> {
  const transport = new WebSocketTransport(`ws://127.0.0.1:${host.port}${SOCKET_PATH}`)
  activatePinia(transport)
  return useJobsStore()
}

const log = (text: string): JobEvent => ({ type: 'log', level: 'info', text })
const metric = (x: number): JobEvent => ({
  type: 'metric',
  series: 'loss/q_proj',
  x: [x],
  y: [1 / x],
})
/** What the program knows, as it would arrive. */
const truth = (id: string): JobSnapshot => JSON.parse(JSON.stringify(jobs.get(id))) as JobSnapshot

it('a window whose line was broken knows the job again with the first thing it hears', async () => {
  const store = openWindow()
  await store.load()
  const { id } = jobs.start(expandSpec())
  emit(log('one'))
  await vi.waitFor(() => expect(store.shown?.log).toHaveLength(1))

  sockets[0]?.terminate()
  await vi.waitFor(() => expect(sockets[0]?.readyState).toBe(WebSocket.CLOSED))
  for (let x = 1; x <= 5; x += 1) emit(metric(x))
  emit(log('two'))
  jobs.list()
  expect(store.shown?.log).toHaveLength(1)

  await vi.waitFor(() => expect(sockets[1]?.readyState).toBe(WebSocket.OPEN))
  emit(metric(6))
  await vi.waitFor(() => expect(store.shown?.series['loss/q_proj']?.x).toHaveLength(6))
  expect(store.shown).toEqual(truth(id))
  end({ state: 'cancelled' })
  await vi.waitFor(() => expect(store.shown?.state).toBe('interrupted'))
  expect(store.shown).toEqual(truth(id))
})

it('a window that is opened in the middle asks for what it hears of', async () => {
  const { id } = jobs.start(expandSpec())
  emit(log('one'))
  jobs.list()
  const store = openWindow()
  await vi.waitFor(() => expect(sockets[0]?.readyState).toBe(WebSocket.OPEN))
  expect(store.all).toEqual([])
  emit(log('two'))
  await vi.waitFor(() => expect(store.shown?.log).toHaveLength(2))
  expect(store.shown).toEqual(truth(id))
})
