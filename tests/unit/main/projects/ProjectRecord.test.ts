import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { describe, expect, it } from 'vitest'
import {
  ProjectRecord,
  projectIdOf,
  readProjectFile,
} from '../../../../src/main/projects/ProjectRecord'
import { projectParts } from '../../../support/projectParts'
import { tempFolder } from '../../../support/tempFolder'

describe('a project’s record', () => {
  it('writes every change as a whole, in the order of the changes, and tells of each', async () => {
    const { folder, record, told } = await projectParts()
    await Promise.all(['a', 'b', 'c'].map((notes) => record.change({ notes })))
    expect(told.changed).toBe(3)
    expect((await readProjectFile(folder)).file).toEqual(record.file)
    expect(record.file).toMatchObject({ name: 'Mine', notes: 'c' })
    expect(await readdir(folder)).toEqual(['project.json'])
  })

  it('has the id of its folder', async () => {
    const { folder, record } = await projectParts()
    expect(record.id).toMatch(/^[0-9a-f]{16}$/)
    expect(record.id).toBe(projectIdOf(folder))
    expect(record.id).not.toBe(projectIdOf(`${folder}2`))
  })

  it('reports what went wrong once, with the file’s name only', async () => {
    const { record, told } = await projectParts()
    const error = new AppError('not_enough_disk', 'Full.', { context: { file: '/a/b/run.json' } })
    record.report(error)
    record.report(error)
    expect(record.problems).toEqual([{ file: 'run.json', setAside: null, message: 'Full.' }])
    expect(told.changed).toBe(1)
  })

  it('does not make a folder anew that has been removed', async () => {
    const { record } = await projectParts()
    const gone = join(await tempFolder(), 'gone')
    const lost = new ProjectRecord(gone, record.file, () => undefined)
    await expect(lost.change({ notes: 'x' })).rejects.toMatchObject({ code: 'write_failed' })
  })
})

describe('a project’s file', () => {
  it('that is not there', async () => {
    const folder = await tempFolder()
    await expect(readProjectFile(folder)).rejects.toMatchObject({
      code: 'not_found',
      message: `${folder} is not a project.`,
    })
  })

  it('of a newer version is left alone', async () => {
    const folder = await tempFolder()
    await writeFile(join(folder, 'project.json'), '{"schema_version": 2}')
    await expect(readProjectFile(folder)).rejects.toMatchObject({
      code: 'unsupported_version',
      context: { expected: 'version 1', actual: 'version 2' },
    })
    expect(await readdir(folder)).toEqual(['project.json'])
  })

  it('that is damaged is set aside, and what is sound of it kept', async () => {
    const folder = join(await tempFolder(), 'Mine')
    await mkdir(folder)
    const text = '{"schema_version": 1, "notes": "keep", "draft": 7}'
    await writeFile(join(folder, 'project.json'), text)
    const { file, problem } = await readProjectFile(folder)
    expect(file).toMatchObject({ name: 'Mine', notes: 'keep', model: { digest: null } })
    expect(problem).toMatchObject({ file: 'project.json', setAside: 'project.json.damaged-1' })
    expect(await readFile(join(folder, 'project.json.damaged-1'), 'utf8')).toBe(text)
  })
})
