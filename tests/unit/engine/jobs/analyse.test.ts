import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RunAnalysis } from '@shared/analysis'
import type { AnalyseResult, JobSpec } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { runJob } from '../../../../src/main/engine/process/runJob'
import { writeTinyCheckpoint } from '../../../support/checkpoints'
import { expandSpec } from '../../../support/specs'
import { tempFolder } from '../../../support/tempFolder'

async function run(spec: JobSpec, recordDir: string): Promise<unknown> {
  const job = runJob(spec, { signal: new AbortController().signal, recordDir })
  for (;;) {
    const next = await job.next()
    if (next.done) return next.value
  }
}

const read = async (file: string): Promise<RunAnalysis> =>
  JSON.parse(await readFile(file, 'utf8')) as RunAnalysis

/** Two growths of two models of one shape, each with its analysis. */
async function grown() {
  const home = await tempFolder()
  const grow = async (name: string, seed: number) => {
    const [folder, record] = [join(home, name), join(home, `${name} record`)]
    await mkdir(folder)
    await mkdir(record)
    const model = await writeTinyCheckpoint({ dir: folder, layers: 4, seed })
    const out = join(home, `${name} grown`)
    await run(expandSpec({ model, out, method: { name: 'neighbour-mean', gaps: [1] } }), record)
    return { out, analysis: join(record, 'analysis.json') }
  }
  return { home, first: await grow('first', 1), second: await grow('second', 2) }
}

describe('the analysis of a model that was trained', () => {
  it('measures its layers, and keeps what training does not change', async () => {
    const { home, first, second } = await grown()
    // Spectra such as LESA leaves.
    const before = await read(first.analysis)
    const spectrum = { x: [0, 1], y: [2, 1] }
    const types = Object.fromEntries(
      Object.entries(before.types).map(([type, known]) => [
        type,
        { ...known, rank: 2, singularValues: spectrum, energy: spectrum, hasDirections: true },
      ]),
    )
    const kept = join(home, 'before.json')
    await writeFile(kept, JSON.stringify({ ...before, types }))
    const spec = { kind: 'analyse', model: second.out, before: kept } as const
    const result = (await run(spec, home)) as AnalyseResult
    expect(result.kind).toBe('analyse')
    const after = await read(join(home, 'analysis.json'))
    const other = await read(second.analysis)
    expect(after.layers).toEqual(before.layers)
    for (const [type, measured] of Object.entries(after.types)) {
      const { norms, neighbourCosines } = other.types[type] ?? {}
      expect(norms).not.toEqual(before.types[type]?.norms)
      expect(measured).toEqual({ ...types[type], norms, neighbourCosines })
    }
  })

  it('is refused where there is none of the model before', async () => {
    const { home, first } = await grown()
    const file = join(home, 'damaged.json')
    await writeFile(file, '{"layers": 3}')
    const spec = { kind: 'analyse', model: first.out, before: file } as const
    await expect(run(spec, home)).rejects.toMatchObject({
      code: 'damaged_file',
      context: { file },
    })
    const base = await writeTinyCheckpoint({ dir: home, layers: 4, seed: 1 })
    await expect(
      run({ kind: 'analyse', model: base, before: first.analysis }, home),
    ).rejects.toMatchObject({
      code: 'shape_mismatch',
      context: { file: first.analysis, expected: '4 layers', actual: '5 layers' },
    })
  })
})
