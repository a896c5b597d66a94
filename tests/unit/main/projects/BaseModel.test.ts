import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { describe, expect, it } from 'vitest'
import type { ProjectFile } from '../../../../src/main/projects/schemas'
import { identityOf, projectParts } from '../../../support/projectParts'

const measured = (subject: string): ProjectFile['perplexities'][number] => ({
  subject,
  text: '0123456789abcdef',
  context: 128,
  perLine: false,
  perplexity: 2,
  tokens: 3,
  predicted: 2,
  standardError: 0.001,
  losses: null,
  againstBase: null,
  seconds: 1,
  device: 'cpu',
  measuredAt: 0,
})

describe('the model of a project', () => {
  it('is ready where it was, and only there', async () => {
    const { base, model, program } = await projectParts()
    expect(base.state).toMatchObject({ state: 'ready', path: model, name: 'base' })
    expect((await base.ready()).path).toBe(model)
    program.models.delete(model)
    await expect(base.ready()).rejects.toMatchObject({ code: 'model_missing' })
    expect(base.state).toEqual({ state: 'missing', path: model, name: 'base' })
  })

  it('is noticed when it goes and when it comes back, while the project is open', async () => {
    const { base, model, program, told } = await projectParts()
    program.models.delete(model)
    await base.refresh()
    expect([base.state.state, told.changed]).toEqual(['missing', 1])
    await base.refresh()
    expect(told.changed).toBe(1)
    program.put(model)
    await base.refresh()
    expect([base.state.state, told.changed]).toEqual(['ready', 2])
  })

  it('has changed when its weights are others', async () => {
    const { base, model, program } = await projectParts()
    program.put(model, identityOf('b'))
    await base.check()
    expect(base.state).toMatchObject({ state: 'changed', path: model })
    await expect(base.ready()).rejects.toThrow('has been replaced by another one')
  })

  it('is broken when it cannot be read, which is said without the stack', async () => {
    const { base, program } = await projectParts()
    const { engine } = program.services
    engine.inspect = () => Promise.reject(new AppError('bad_checkpoint', 'Too short.'))
    await base.check()
    expect(base.state).toMatchObject({ state: 'broken' })
    expect('error' in base.state && base.state.error).toEqual({
      code: 'bad_checkpoint',
      message: 'Too short.',
    })
  })

  it('whose path another system wrote is missing', async () => {
    const { base } = await projectParts({
      model: { path: process.platform === 'win32' ? '/m' : 'C:\\m', name: 'm', ...identityOf('a') },
    })
    expect(base.state).toMatchObject({ state: 'missing', name: 'm' })
  })
})

describe('taking the model from another place', () => {
  it('is done for the same one without asking, and keeps what was measured', async () => {
    const { base, record, home, program, told } = await projectParts({
      perplexities: [measured('base'), measured('001-lesa')],
    })
    const moved = join(home, 'moved')
    program.put(moved)
    expect(await base.relocate(moved, false, undefined)).toBeNull()
    expect(base.state).toMatchObject({ state: 'ready', path: moved, name: 'moved' })
    expect(record.file.model).toMatchObject({ path: '../moved', name: 'moved' })
    expect(record.file.perplexities).toHaveLength(2)
    expect(told.changed).toBeGreaterThan(0)
  })

  it('is asked for when the weights are others, and forgets what was measured of the old ones', async () => {
    const { base, record, home, program } = await projectParts({
      perplexities: [measured('base'), measured('001-lesa')],
    })
    const other = join(home, 'other')
    program.put(other, identityOf('b'))
    expect(await base.relocate(other, false, 12)).toMatchObject({
      outcome: 'different',
      isCompatible: true,
    })
    expect(record.file.model.name).toBe('base')
    expect(await base.relocate(other, true, 12)).toBeNull()
    expect(record.file.perplexities.map(({ subject }) => subject)).toEqual(['001-lesa'])
    expect(base.state).toMatchObject({ state: 'ready', path: other })
  })

  it('is refused for another shape, accepted or not', async () => {
    const { base, home, program } = await projectParts()
    const other = join(home, 'other')
    program.put(other, identityOf('b', '1'), { num_hidden_layers: 24 })
    expect(await base.relocate(other, true, 12)).toEqual({
      outcome: 'different',
      isCompatible: false,
      differences: [
        'It is LlamaForCausalLM with 24 layers of width 128.',
        "The project's model has 12 layers.",
      ],
    })
    const refused = await base.relocate(other, true, undefined)
    expect(refused?.differences[1]).toContain('names and shapes')
  })

  it('takes any model for a project that has lost its own', async () => {
    const { base, home, program } = await projectParts({
      model: { path: '', name: '', digest: null, shape: null },
    })
    expect(base.state.state).toBe('missing')
    program.put(join(home, 'any'), identityOf('c', '2'))
    expect(await base.relocate(join(home, 'any'), false, undefined)).toBeNull()
    expect((await base.ready()).name).toBe('any')
  })
})
