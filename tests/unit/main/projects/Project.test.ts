import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ProjectFile } from '../../../../src/main/projects/schemas'
import { describe, expect, it } from 'vitest'
import { Project } from '../../../../src/main/projects/Project'
import { FakeProgram, grow, solar } from '../../../support/projectParts'
import { tempFolder } from '../../../support/tempFolder'

async function made() {
  const home = await tempFolder()
  const [folder, model] = [join(home, 'project'), join(home, 'base')]
  await mkdir(folder)
  const program = new FakeProgram()
  program.put(model)
  const seen: Project[] = []
  const services = { ...program.services, onChange: (project: Project) => seen.push(project) }
  const project = await Project.create(folder, { name: 'Mine', model }, services)
  return { home, folder, model, program, services, seen, project }
}

describe('a project', () => {
  it('is found again as it was made', async () => {
    const { project, folder, model, services } = await made()
    expect(project.view()).toMatchObject({
      path: folder,
      name: 'Mine',
      model: { state: 'ready', path: model },
      texts: [],
      runs: [],
      perplexities: [],
      workBytes: 0,
      problems: [],
    })
    expect((await Project.open(folder, services)).view()).toEqual(project.view())
    const stored = JSON.parse(await readFile(join(folder, 'project.json'), 'utf8')) as ProjectFile
    expect(stored).toMatchObject({ schema_version: 1, model: { path: '../base' } })
  })

  it('keeps what is changed of it, and tells of it', async () => {
    const { project, folder, services, seen } = await made()
    const { draft } = project.view()
    await project.update({ notes: 'n' })
    await project.update({ draft: { ...draft, method: 'solar' } })
    await project.rename('Other')
    expect(seen).toEqual([project, project, project])
    expect((await Project.open(folder, services)).view()).toMatchObject({
      name: 'Other',
      notes: 'n',
      draft: { method: 'solar' },
    })
  })

  it('whose file was damaged says so, and has a sound one again', async () => {
    const { folder, services } = await made()
    await writeFile(join(folder, 'project.json'), '{"schema_version": 1, "notes": "keep"')
    const project = await Project.open(folder, services)
    expect(project.view()).toMatchObject({
      model: { state: 'missing' },
      problems: [{ file: 'project.json', setAside: 'project.json.damaged-1' }],
    })
    expect((await Project.open(folder, services)).view().problems).toEqual([])
  })

  it('is busy while a job of it is open', async () => {
    const { project, program } = await made()
    project.refuseBusy()
    const { id } = await project.runs.start(solar, undefined)
    expect(project.isBusy).toBe(true)
    expect(() => project.refuseBusy()).toThrow(expect.objectContaining({ code: 'bad_request' }))
    await expect(project.clearWork()).rejects.toMatchObject({ code: 'bad_request' })
    program.end('succeeded', await grow(project.runs.get(id).folder))
    await project.settle()
    expect(project.isBusy).toBe(false)
    await project.clearWork()
  })

  it('compares those that are asked for', async () => {
    const { project, program } = await made()
    const { id } = await project.runs.start(solar, undefined)
    program.end('succeeded', await grow(project.runs.get(id).folder))
    await project.settle()
    const subjects = (wanted?: string[]) =>
      project.compare(wanted).rows.map(({ subject }) => subject)
    expect(subjects()).toEqual(['base', id])
    expect(subjects([id])).toEqual([id])
    expect(subjects(['base'])).toEqual(['base'])
  })

  it('shows itself with the model that it was given, or says how that one differs', async () => {
    const { project, program, home } = await made()
    const moved = join(home, 'moved')
    program.put(moved)
    expect(await project.relocateModel(moved, false)).toMatchObject({
      outcome: 'relocated',
      project: { model: { state: 'ready', path: moved } },
    })
    await expect(project.relocateModel(join(home, 'none'), false)).rejects.toMatchObject({
      code: 'not_found',
    })
  })
})
