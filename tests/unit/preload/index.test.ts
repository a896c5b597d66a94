// @vitest-environment happy-dom
import { EventEmitter } from 'node:events'
import { CALL_CHANNEL, DROP_CHANNEL, PUSH_CHANNEL } from '@shared/channels'
import { callArguments, type CallName, type Transport } from '@shared/contract'
import { beforeEach, describe, expect, it, vi } from 'vitest'

const { electron, exposed } = vi.hoisted(() => {
  const exposed: Record<string, unknown> = {}
  return {
    exposed,
    electron: {
      contextBridge: {
        exposeInMainWorld: (key: string, value: unknown) => (exposed[key] = value),
      },
      webUtils: {
        getPathForFile: (file: File) => (file.name === '' ? '' : `/dropped/${file.name}`),
      },
    },
  }
})

class FakeIpcRenderer extends EventEmitter {
  readonly invoke = vi.fn(() => Promise.resolve({ ok: true, value: [] }))
  readonly send = vi.fn()
}

vi.mock('electron', () => electron)

const ipc = new FakeIpcRenderer()
Object.assign(electron, { ipcRenderer: ipc })
await import('../../../src/preload/index')
const transport = exposed['lesa'] as Transport

beforeEach(() => {
  ipc.removeAllListeners()
  ipc.invoke.mockClear()
  ipc.send.mockClear()
})

describe('the preload script', () => {
  it('exposes the contract’s three functions and nothing else', () => {
    expect(Object.keys(exposed)).toEqual(['lesa'])
    expect(Object.keys(transport).sort()).toEqual(['call', 'pathOfFile', 'subscribe'])
  })

  it('passes calls on, on one channel, whose other end knows which there are', async () => {
    const names = [...Object.keys(callArguments), 'shell:run', CALL_CHANNEL]
    for (const name of names) await transport.call(name as CallName, [] as never)
    expect(ipc.invoke.mock.calls).toEqual(names.map((name) => [CALL_CHANNEL, name, []]))
  })

  it('hears on one channel only, whatever the page names', () => {
    const heard: unknown[] = []
    for (const name of ['ipc', PUSH_CHANNEL, DROP_CHANNEL]) {
      transport.subscribe(name as never, (payload: unknown) => heard.push(payload))
      ipc.emit(name, { sender: ipc }, 'payload')
    }
    expect(ipc.eventNames()).toEqual([PUSH_CHANNEL])
    expect(heard).toEqual([])
  })

  it('hands listeners the payload, never the event, and only of their push', () => {
    const heard: unknown[][] = []
    const leave = transport.subscribe('app:command', (...args: unknown[]) => heard.push(args))
    ipc.emit(PUSH_CHANNEL, { sender: ipc }, 'app:command', 'job:run')
    ipc.emit(PUSH_CHANNEL, { sender: ipc }, 'jobs:changed', {})
    leave()
    ipc.emit(PUSH_CHANNEL, { sender: ipc }, 'app:command', 'job:run')
    expect(heard).toEqual([['job:run']])
    expect(ipc.listenerCount(PUSH_CHANNEL)).toBe(0)
  })

  it('tells the path of a real file only, and the program that it was dropped', () => {
    expect(transport.pathOfFile(new File([], 'model'))).toBe('/dropped/model')
    expect(transport.pathOfFile(new File([], ''))).toBeNull()
    expect(transport.pathOfFile({ name: 'model' })).toBeNull()
    expect(transport.pathOfFile('/etc/passwd')).toBeNull()
    expect(ipc.send.mock.calls).toEqual([[DROP_CHANNEL, '/dropped/model']])
  })
})
