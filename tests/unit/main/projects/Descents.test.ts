import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EvaluationRequest } from '@shared/projects'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Descents } from '../../../../src/main/projects/Descents'
import { RunBook } from '../../../../src/main/projects/RunBook'
import { descentResult, layerChange } from '../../../support/descents'
import { grow, identityOf, projectParts, solar } from '../../../support/projectParts'

/** A project with a run of SOLAR that has succeeded, and beside it a folder that was trained from it. */
async function trained() {
  const parts = await projectParts()
  const run = await growOne(parts)
  const path = join(parts.home, 'trained')
  await mkdir(path)
  await writeFile(join(path, 'config.json'), '{}')
  await writeFile(join(path, 'model.safetensors'), 'trained')
  parts.program.put(path, identityOf('b'), { num_hidden_layers: 18 })
  return { ...parts, run, path }
}

async function growOne({
  runs,
  program,
  settle,
}: Awaited<ReturnType<typeof projectParts>>): Promise<string> {
  const { id } = await runs.start(solar, undefined)
  program.end('succeeded', await grow(runs.get(id).folder))
  await settle()
  return id
}

type Parts = Awaited<ReturnType<typeof trained>>

/** Adds it, and lets the comparison end with these changes. */
async function add(parts: Parts, changes = {}): Promise<string> {
  const { descents, program, path, run, runs, settle } = parts
  await descents.start({ path, run })
  program.end('succeeded', descentResult({ trained: path, ...changes }))
  await expect.poll(() => runs.summaries().some(({ elsewhere }) => elsewhere)).toBe(true)
  await settle()
  return runs.summaries().find(({ elsewhere }) => elsewhere)?.id ?? ''
}

describe('a checkpoint that was trained elsewhere', () => {
  it('is compared with the run, and becomes one that only reads its folder', async () => {
    const parts = await trained()
    const { descents, program, runs, folder, path, run } = parts
    const job = await descents.start({ path, run })
    expect(job.spec).toEqual({
      kind: 'descent',
      trained: path,
      start: join(folder, 'runs', run, 'model'),
    })
    // As long as it is compared its start stays.
    await expect(runs.delete(run)).rejects.toMatchObject({ code: 'bad_request' })
    program.end('succeeded', descentResult({ trained: path }))
    await expect.poll(() => runs.summaries().length).toBe(2)
    const id = runs.summaries().find(({ elsewhere }) => elsewhere)?.id ?? ''
    expect(runs.summary(id)).toMatchObject({
      id: '002-solar',
      name: 'SOLAR, trained',
      state: 'succeeded',
      method: 'solar',
      layersAfter: runs.summary(run).layersAfter,
      newLayers: runs.summary(run).newLayers,
      model: { path, bytes: 7 },
      training: null,
      elsewhere: { path, state: 'ready', run, runName: 'SOLAR', isTouched: false, steps: null },
    })
    expect(await descents.get(id)).toEqual(descentResult({ trained: path }))
    expect(runs.modelOf(id)).toBe(path)
    // No copy of the weights is made.
    const files = await readdir(join(folder, 'runs', id))
    expect(files.sort()).toEqual(['descent.json', 'run.json'])
    const stored = JSON.parse(await readFile(join(folder, 'runs', id, 'run.json'), 'utf8')) as {
      elsewhere: object
    }
    // Beside the project: both can be moved together.
    expect(stored.elsewhere).toMatchObject({ path: '../trained', digest: 'b'.repeat(64) })
  })

  it('says that an original layer was touched', async () => {
    const parts = await trained()
    const layers = [0, 1].map((layer) => layerChange(layer, { relative: 0.1 }))
    const id = await add(parts, { layers })
    expect(parts.runs.summary(id).elsewhere?.isTouched).toBe(true)
  })

  it('leaves nothing where the comparison fails', async () => {
    const parts = await trained()
    const { descents, program, runs, path, run, folder, settle } = parts
    await descents.start({ path, run })
    program.end('failed')
    await settle()
    expect(runs.summaries()).toHaveLength(1)
    expect(await readdir(join(folder, 'runs'))).toEqual([run])
  })

  it('can be measured and continued like any other, as long as it is what it was', async () => {
    const parts = await trained()
    const { texts, program, path, runs, model } = parts
    const id = await add(parts)
    const { text } = await texts.addContent('eval.txt', 'a text')
    const request: EvaluationRequest = {
      text: text.id,
      subjects: ['base', id],
      perLine: false,
      device: 'cpu',
    }
    const job = await texts.measure(request)
    expect(job.spec).toMatchObject({ models: [model, path] })
    program.end('cancelled')
    // The training went on.
    program.put(path, identityOf('c'), { num_hidden_layers: 18 })
    await expect(texts.measure(request)).rejects.toMatchObject({
      code: 'model_missing',
      context: { file: path },
    })
    expect(runs.summary(id)).toMatchObject({ model: null, elsewhere: { state: 'changed' } })
    program.put(path, identityOf('b'), { num_hidden_layers: 18 })
    await runs.refresh()
    expect(runs.summary(id)).toMatchObject({ model: { path }, elsewhere: { state: 'ready' } })
    await rm(path, { recursive: true })
    await runs.refresh()
    expect(runs.summary(id)).toMatchObject({ model: null, elsewhere: { state: 'missing' } })
    expect(() => runs.modelOf(id)).toThrow(
      expect.objectContaining({ code: 'model_missing', context: { file: path } }),
    )
  })

  it('is there when the project is opened again, and looked at', async () => {
    const parts = await trained()
    const { record, base, program, path } = parts
    const id = await add(parts)
    program.put(path, identityOf('c'))
    const again = new RunBook(record, base, program.services)
    await again.load()
    onTestFinished(() => again.settle())
    expect(again.summary(id)).toMatchObject({ model: null, elsewhere: { path, state: 'changed' } })
  })

  it('is removed without its folder', async () => {
    const parts = await trained()
    const { runs, path, folder, run } = parts
    const id = await add(parts)
    await expect(runs.deleteModel(id)).rejects.toMatchObject({ code: 'bad_request' })
    await runs.delete(id)
    expect(await readdir(join(folder, 'runs'))).toEqual([run])
    expect((await readdir(path)).sort()).toEqual(['config.json', 'model.safetensors'])
  })

  it('is neither grown again, nor exported, nor taken for a start', async () => {
    const parts = await trained()
    const { runs, exports, trainings, run } = parts
    const id = await add(parts)
    await expect(runs.retry(id)).rejects.toMatchObject({ code: 'bad_request' })
    const out = { out: '/out', overwrite: false, dtype: 'keep', maxShardBytes: 5e9 } as const
    expect(() => exports.specFor(id, out)).toThrow(expect.objectContaining({ code: 'bad_request' }))
    const starts = await trainings.starts(solar)
    expect(starts.find(({ method }) => method === 'solar')).toMatchObject({ state: 'grown', run })
  })
})

describe('what cannot be added', () => {
  it('is said before anything is compared', async () => {
    const parts = await trained()
    const { descents, program, path, run, folder } = parts
    const refused = (request: { path: string; run: string }): Promise<unknown> =>
      descents.start(request).catch((error: unknown) => error)
    expect(await refused({ path: join(parts.home, 'nowhere'), run })).toMatchObject({
      code: 'not_found',
    })
    expect(await refused({ path, run: '009-solar' })).toMatchObject({ code: 'not_found' })
    const own = join(folder, 'runs', run, 'model')
    expect(await refused({ path: own, run })).toMatchObject({
      code: 'bad_request',
      context: { file: own },
    })
    await add(parts)
    expect(await refused({ path, run })).toMatchObject({ code: 'bad_request' })
    const comparisons = program.jobs.filter(({ snapshot }) => snapshot.spec.kind === 'descent')
    expect(comparisons).toHaveLength(1)
  })

  it('and a record that is damaged is said to be', async () => {
    const parts = await trained()
    const { descents, runs, run } = parts
    const id = await add(parts)
    await writeFile(join(runs.get(id).folder, 'descent.json'), '{"kind": "descent"}')
    await expect(descents.get(id)).rejects.toMatchObject({ code: 'damaged_file' })
    await expect(descents.get(run)).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('which run it came from', () => {
  const lesa = (seed: number, training: readonly object[] = []): string =>
    JSON.stringify({ method: 'solar', new_layers: [9], seed, training })

  it('is the only one of its depth, or the one that lesa.json tells of', async () => {
    const parts = await trained()
    const { descents, program, path, run, runs } = parts
    expect(await descents.match(path)).toEqual({ path, layers: 18, runs: [run], best: run })
    program.put(path, identityOf('b'), { num_hidden_layers: 20 })
    expect(await descents.match(path)).toMatchObject({ runs: [], best: null })
    program.put(path, identityOf('b'), { num_hidden_layers: 18 })
    const second = await growOne(parts)
    expect(await descents.match(path)).toMatchObject({ runs: [second, run], best: null })
    for (const [id, seed] of [
      [run, 1],
      [second, 2],
    ] as const) {
      await writeFile(join(runs.get(id).modelPath, 'lesa.json'), lesa(seed))
    }
    await writeFile(join(path, 'lesa.json'), lesa(1, [{ steps: 30 }]))
    expect(await descents.match(path)).toMatchObject({ best: run })
    const id = await add(parts)
    expect(runs.summary(id).elsewhere).toMatchObject({ steps: 30 })
    // What was added is no start for another.
    expect((await descents.match(path)).runs).not.toContain(id)
  })

  it('cannot be a folder that is no model', async () => {
    const { record, runs, program, home } = await trained()
    const descents = new Descents(record, runs, program.services)
    await expect(descents.match(join(home, 'nowhere'))).rejects.toMatchObject({ code: 'not_found' })
  })
})
