import { readFile, rm, writeFile } from 'node:fs/promises'
import type { PlaceResult } from '@shared/jobs'
import type { PlacesReport } from '@shared/places'
import { describe, expect, it } from 'vitest'
import { projectPaths } from '../../../../src/main/projects/layout'
import { Places } from '../../../../src/main/projects/Places'
import { identityOf, projectParts } from '../../../support/projectParts'

const REPORT: PlacesReport = {
  num_hidden_layers: 12,
  attention_windows: [],
  context: 64,
  tokens: { calibration: 640, search: 320, measured: 320 },
  base_loss: 2.5,
  layers: [],
  gaps: [],
  repeats: [],
  angular: [],
}

async function parts() {
  const made = await projectParts()
  const { text } = await made.texts.addContent('far.txt', 'words of another kind\n')
  const places = new Places(made.record, made.base, made.program.services)
  const measure = (changes: { readonly text?: string } = {}) =>
    places.measure({ text: text.id, blocks: 4, device: 'cpu', ...changes })
  const result = (report = REPORT): PlaceResult => ({
    kind: 'place',
    model: made.model,
    text: 'wherever it was',
    report,
    device: { device: 'cpu', reason: 'asked for' },
    warnings: [],
    seconds: 3,
  })
  return { ...made, places, text, measure, result }
}

describe("the places of a project's model", () => {
  it('are measured on a text of the project, and kept with its name once they are', async () => {
    const { places, program, record, text, measure, result, folder, model, told } = await parts()
    expect(await places.get()).toBeNull()
    const { spec, owner } = await measure()
    expect(spec).toMatchObject({
      kind: 'place',
      model,
      text: projectPaths.text(folder, text.id),
      blocks: 4,
      candidates: [],
      device: 'cpu',
    })
    expect(owner).toEqual({ project: record.id })
    const before = told.changed
    program.end('succeeded', result())
    await expect.poll(() => places.get()).toMatchObject({ text: 'far.txt', report: REPORT })
    await expect.poll(() => told.changed).toBe(before + 1)
  })

  it('stay those of the last measurement that succeeded', async () => {
    const { places, program, measure, result } = await parts()
    await measure()
    program.end('succeeded', result())
    await expect.poll(() => places.get()).not.toBeNull()
    await measure()
    program.end('cancelled')
    expect(await places.get()).toMatchObject({ report: { base_loss: 2.5 } })
    await measure()
    program.end('succeeded', result({ ...REPORT, base_loss: 9 }))
    await expect.poll(() => places.get()).toMatchObject({ report: { base_loss: 9 } })
  })

  it('are not those of another model, of another version, or of a damaged file', async () => {
    const { places, program, record, measure, result, folder } = await parts()
    await measure()
    program.end('succeeded', result())
    await expect.poll(() => places.get()).not.toBeNull()
    const file = projectPaths.places(folder)
    const kept = await readFile(file, 'utf8')
    await record.change({ model: { ...record.file.model, ...identityOf('b') } })
    expect(await places.get()).toBeNull()
    await record.change({ model: { ...record.file.model, ...identityOf('a') } })
    expect(await places.get()).not.toBeNull()
    await writeFile(file, JSON.stringify({ ...(JSON.parse(kept) as object), version: 99 }))
    expect(await places.get()).toBeNull()
    await writeFile(file, kept.slice(0, 40))
    expect(await places.get()).toBeNull()
  })

  it('are not measured on a text that is not there, nor of a model that is not', async () => {
    const { places, program, measure, text, folder, model } = await parts()
    await expect(measure({ text: 'f'.repeat(16) })).rejects.toMatchObject({ code: 'not_found' })
    await rm(projectPaths.text(folder, text.id))
    await expect(measure()).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('far.txt') as string,
    })
    await writeFile(projectPaths.text(folder, text.id), 'words of another kind\n')
    program.models.delete(model)
    await expect(measure()).rejects.toMatchObject({ code: 'model_missing' })
    expect(program.jobs).toHaveLength(0)
    expect(await places.get()).toBeNull()
  })
})
