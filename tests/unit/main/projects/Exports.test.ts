import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { DEFAULT_EXPORT } from '@shared/exports'
import { describe, expect, it } from 'vitest'
import { grow, projectParts, solar } from '../../../support/projectParts'

async function grown() {
  const parts = await projectParts()
  const { id } = await parts.runs.start(solar, undefined)
  const result = await grow(parts.runs.get(id).folder)
  parts.program.end('succeeded', result)
  await parts.settle()
  const options = { ...DEFAULT_EXPORT, out: join(parts.home, 'mine') }
  return { ...parts, id, result, options }
}

describe('an export', () => {
  it('is of the grown checkpoint, with what is known of it', async () => {
    const { exports, record, runs, model, id, options, result } = await grown()
    const measured = (subject: string, perplexity: number | null) => ({
      subject,
      text: '0123456789abcdef',
      context: 128,
      perLine: false,
      perplexity,
      tokens: 3,
      predicted: 2,
      standardError: 0.001,
      losses: null,
      againstBase: null,
      seconds: 1,
      device: 'cpu',
      measuredAt: 0,
    })
    await record.change({
      perplexities: [measured('base', 2), measured(id, null), measured('009-other', 4)],
    })
    // On three tokens: nothing to publish unless somebody chooses to.
    expect(exports.specFor(id, options).perplexities).toEqual([])
    const publishable = exports.publishable(id)
    expect(publishable).toMatchObject([
      { model: 'base', perplexity: 2, tokens: 3, isPublished: false },
      { perplexity: null, isPublished: false },
    ])
    const measurements = publishable.map((each) => each.id)
    expect(new Set(measurements).size).toBe(2)
    const [first = ''] = measurements
    expect(
      exports
        .specFor(id, { ...options, measurements: [first] })
        .perplexities.map((each) => [each.model, each.text, each.perLine]),
    ).toEqual([['base', 'a text', false]])
    const spec = exports.specFor(id, { ...options, measurements })
    expect(spec).toMatchObject({ kind: 'export', model: runs.modelOf(id), base: model, ...options })
    expect(spec.grown.result).toEqual(result)
    expect(spec.grown.spec).toMatchObject({ kind: 'expand', method: { name: 'solar' }, model })
    expect(
      spec.perplexities.map((each) => [each.model, each.perplexity, each.num_hidden_layers]),
    ).toEqual([
      ['base', 2, 12],
      ['mine', Infinity, 18],
    ])
  })

  it('is noted with the run when it has succeeded', async () => {
    const { exports, runs, program, settle, id, options, told } = await grown()
    exports.start(id, options)
    expect(program.jobs.at(-1)?.extras.owner).toMatchObject({ run: id })
    const before = told.changed
    const checks = [{ id: 'reopened', state: 'passed', detail: 'ok' } as const]
    program.end('succeeded', {
      kind: 'export',
      out: options.out,
      bytes: 5,
      shards: 1,
      parameters: 10,
      checks,
      seconds: 1,
    })
    await settle()
    expect(runs.summary(id).exports).toMatchObject([{ out: options.out, bytes: 5, checks }])
    expect(told.changed).toBeGreaterThan(before)
  })

  it('never goes into the project or around it, by whatever name', async () => {
    const { exports, program, folder, home, id, options } = await grown()
    await symlink(folder, join(home, 'alias'), 'junction')
    const count = program.jobs.length
    for (const [out, reason] of [
      [join(folder, 'texts'), 'it lies in the folder of the project'],
      [join(home, 'alias', 'new'), 'it lies in the folder of the project'],
      [join(home, 'alias'), 'it holds the project'],
      [home, 'it holds the project'],
    ] as const) {
      expect(exports.refusal(out)).toContain(reason)
      expect(() => exports.start(id, { ...options, out, overwrite: true })).toThrow(
        expect.objectContaining({ code: 'path_denied' }),
      )
    }
    expect(exports.refusal(options.out)).toBeNull()
    expect(program.jobs).toHaveLength(count)
  })

  it('needs the grown checkpoint', async () => {
    const { exports, runs, id, options } = await grown()
    await runs.deleteModel(id)
    expect(() => exports.start(id, options)).toThrow(expect.objectContaining({ code: 'not_found' }))
  })
})
