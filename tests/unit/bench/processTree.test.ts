import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { linuxTree, parseStatus, psTree } from '../../bench/lib/processTree'

describe('parseStatus', () => {
  it('reads resident memory and its peak', () => {
    const status = 'Name:\tnode\nVmPeak:\t  900 kB\nVmHWM:\t   70 kB\nVmRSS:\t   60 kB\n'
    expect(parseStatus(status)).toEqual({ residentBytes: 61_440, peakBytes: 71_680 })
  })

  it('finds none in the status of a process that has ended', () => {
    expect(parseStatus('Name:\tnode\nState:\tZ (zombie)\n')).toEqual({
      residentBytes: 0,
      peakBytes: 0,
    })
  })
})

describe('psTree', () => {
  it('takes the process and its descendants, whatever their order', () => {
    const output = '  30 20 4\n  10 1 1\n  20 10 2\n  40 1 100\n'
    expect(psTree(output, 10).map(({ residentBytes }) => residentBytes)).toEqual([4096, 1024, 2048])
    expect(psTree(output, 99)).toEqual([])
  })
})

describe.skipIf(process.platform !== 'linux')('linuxTree', () => {
  it('counts children', async () => {
    const child = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1000)'])
    onTestFinished(() => void child.kill())
    await once(child.stdout, 'data')
    const tree = linuxTree(process.pid)
    const own = linuxTree(child.pid ?? 0)
    expect(own).toHaveLength(1)
    expect(own[0]?.residentBytes).toBeGreaterThan(10e6)
    expect(tree.length).toBeGreaterThanOrEqual(2)
    const sum = tree.reduce((total, { residentBytes }) => total + residentBytes, 0)
    expect(sum).toBeGreaterThan((own[0]?.residentBytes ?? 0) + 10e6)
  })

  it('is empty for a process that is not there', () => {
    expect(linuxTree(2 ** 30)).toEqual([])
  })
})
