import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ResultRow } from '../bench/lib/report'

const root = resolve(import.meta.dirname, '../..')
let work = ''

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'lesa-bench-test-'))
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

function bench(
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(root, 'scripts/bench.mjs'), '--work', work, ...args])
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
  }
  return new Promise((done) => child.once('close', (code) => done({ code, ...output })))
}

/** Not for the numbers: the benchmarks must run whenever somebody wants them. */
describe('npm run bench -- --quick', () => {
  it('runs every benchmark and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await bench('--quick', '--json', '--no-reference')
    expect(code, stderr).toBe(0)
    const { results } = JSON.parse(stdout) as { results: ResultRow[] }
    expect(results.map(({ name }) => name)).toEqual([
      'decompose-2048',
      'decompose-5632',
      'train-128',
      'train-2048',
      'train-5632',
      'lesa-1.1b',
      'fitted',
      'copy-16gb',
      'evaluate',
      'pretrain-demo',
      'pretrain-512',
      'pretrain-1.1b',
      'startup',
    ])
    for (const row of results.flatMap((each) => [each, ...(each.parts ?? [])])) {
      expect(row.ours, row.name).toBeGreaterThan(0)
      expect(row).toMatchObject({ reference: null, ratio: null })
      if (process.platform === 'linux') expect(row.peak_bytes, row.name).toBeGreaterThan(10e6)
    }
    const jobs = results.filter(({ name }) => ['lesa-1.1b', 'copy-16gb', 'evaluate'].includes(name))
    for (const { name, estimate } of jobs) expect(estimate?.peakBytes, name).toBeGreaterThan(10e6)
    const stages = results.find(({ name }) => name === 'lesa-1.1b')?.notes[0]
    expect(stages).toMatch(/decompose .*train .*predict .*write /)
    expect(readdirSync(work)).toEqual([])
  })

  it('refuses a name it does not know', async () => {
    expect(await bench('--only', 'nothing')).toMatchObject({ code: 2, stdout: '' })
  })
})
