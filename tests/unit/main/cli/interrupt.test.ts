import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { Interrupt } from '../../../../src/main/cli/interrupt'

class Host extends EventEmitter {
  readonly exits: number[] = []
  exit(code: number): void {
    this.exits.push(code)
  }
}

function setUp() {
  const host = new Host()
  const clock = { now: 0 }
  const firsts: number[] = []
  const interrupt = new Interrupt(
    host,
    () => firsts.push(clock.now),
    () => clock.now,
  )
  const send = (signal: string, at: number): void => {
    clock.now = at
    host.emit(signal, signal)
  }
  return { host, interrupt, firsts, send }
}

describe('Interrupt', () => {
  it('aborts at the first signal and ends the program at the second', () => {
    const { host, interrupt, firsts, send } = setUp()
    send('SIGINT', 100)
    expect(interrupt.signal.aborted).toBe(true)
    expect(host.exits).toEqual([])
    send('SIGINT', 1_500)
    expect([firsts, host.exits]).toEqual([[100], [130]])
  })

  it('takes one Ctrl-C that arrives twice for one', () => {
    const { host, send } = setUp()
    send('SIGINT', 100)
    send('SIGINT', 103)
    expect(host.exits).toEqual([])
  })

  it('reports the signal that cancelled as shells do', () => {
    const { interrupt, send } = setUp()
    send('SIGTERM', 1)
    expect(interrupt.exitCode).toBe(143)
  })

  it('leaves no listener behind', () => {
    const { host, interrupt } = setUp()
    expect(host.eventNames().length).toBeGreaterThan(0)
    interrupt.dispose()
    expect(host.eventNames()).toEqual([])
  })
})
