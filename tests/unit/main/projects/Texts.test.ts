import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EvaluateResult } from '@shared/jobs'
import type { EvaluationRequest } from '@shared/projects'
import { describe, expect, it } from 'vitest'
import { Texts } from '../../../../src/main/projects/Texts'
import { grow, projectParts, solar } from '../../../support/projectParts'

async function withText() {
  const parts = await projectParts()
  const file = join(parts.home, 'größe.txt')
  await writeFile(file, 'Größe ist nicht alles.')
  await parts.texts.add(file)
  const [text] = parts.texts.list()
  const request = (changes: Partial<EvaluationRequest> = {}): EvaluationRequest => ({
    text: text?.id ?? '',
    subjects: ['base'],
    perLine: false,
    device: 'cpu',
    ...changes,
  })
  return { ...parts, file, id: text?.id ?? '', request }
}

const results = (...perplexities: number[]): EvaluateResult => ({
  kind: 'evaluate',
  results: perplexities.map((perplexity) => ({
    model: 'm',
    perplexity,
    tokens: 30,
    predicted: 29,
    standardError: 0.001,
    context: 256,
    num_hidden_layers: 12,
    seconds: 1,
    window_nll: [Math.log(perplexity) * 29],
    window_tokens: [29],
  })),
})

describe('a text', () => {
  it('is copied, once however often it is added', async () => {
    const { texts, folder, file, id } = await withText()
    await texts.add(file)
    expect(texts.list()).toEqual([{ id, name: 'größe.txt', bytes: 24, exists: true }])
    expect(await readdir(join(folder, 'texts'))).toEqual([`${id}.txt`])
    expect(await readFile(join(folder, 'texts', `${id}.txt`), 'utf8')).toBe(
      'Größe ist nicht alles.',
    )
  })

  it('of the same content keeps its name, and says so, whichever way it comes', async () => {
    const { texts, home, id } = await withText()
    const other = join(home, 'readme.md')
    await writeFile(other, 'Größe ist nicht alles.')
    for (const again of [
      await texts.add(other),
      await texts.addContent('pasted.txt', 'Größe ist nicht alles.'),
    ]) {
      expect(again).toEqual({
        text: { id, name: 'größe.txt', bytes: 24, exists: true },
        isNew: false,
      })
    }
    expect(texts.list()).toHaveLength(1)
  })

  it('takes no other text’s name', async () => {
    const { texts } = await withText()
    const added = await texts.addContent('größe.txt', 'Alles andere.')
    expect(added).toMatchObject({ text: { name: 'größe (2).txt' }, isNew: true })
    expect((await texts.addContent('größe.txt', 'Und mehr.')).text.name).toBe('größe (3).txt')
    await expect(texts.addContent('a', '')).rejects.toMatchObject({
      message: 'a cannot be used: it is empty.',
    })
  })

  it.each([
    ['Latin-1', Uint8Array.of(0x47, 0xf6), 'it is not UTF-8 text'],
    ['nothing', new Uint8Array(), 'it is empty'],
  ])('of %s is refused', async (_, content, reason) => {
    const { texts, home } = await projectParts()
    await writeFile(join(home, 'a'), content)
    await expect(texts.add(join(home, 'a'))).rejects.toMatchObject({
      code: 'bad_request',
      message: `a cannot be used: ${reason}.`,
    })
    await expect(texts.add(home)).rejects.toMatchObject({ code: 'bad_request' })
    await expect(texts.add(join(home, 'b'))).rejects.toMatchObject({ code: 'not_found' })
    expect(texts.list()).toEqual([])
  })

  it('that has gone is said to, and is there again when it is added', async () => {
    const { record, base, runs, program, texts, folder, file, id } = await withText()
    await rm(join(folder, 'texts', `${id}.txt`))
    const again = new Texts(record, base, runs, program.services)
    await again.load()
    expect(again.list()).toMatchObject([{ id, exists: false }])
    await again.add(file)
    expect(again.list()).toMatchObject([{ id, exists: true }])
    expect(texts.list()).toHaveLength(1)
  })

  it('takes its perplexities with it', async () => {
    const { texts, folder, id, request, program, settle } = await withText()
    await texts.measure(request())
    program.end('succeeded', results(7))
    await settle()
    expect(texts.perplexities()).toHaveLength(1)
    await texts.remove(id)
    expect([texts.list(), texts.perplexities()]).toEqual([[], []])
    expect(await readdir(join(folder, 'texts'))).toEqual([])
    await expect(texts.remove(id)).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('measuring', () => {
  it('asks for what is not known, and keeps what is found', async () => {
    const { texts, runs, folder, model, id, request, program, settle } = await withText()
    const run = await runs.start(solar, undefined)
    program.end('succeeded', await grow(runs.get(run.id).folder))
    await settle()
    await texts.measure(request())
    expect(program.jobs.at(-1)?.snapshot.spec).toEqual({
      kind: 'evaluate',
      models: [model],
      text: join(folder, 'texts', `${id}.txt`),
      // The model's own, which is less than the default.
      context: 256,
      perLine: false,
      device: 'cpu',
    })
    program.end('succeeded', results(7))
    await settle()
    await texts.measure(request({ subjects: ['base', run.id, run.id] }))
    expect(program.jobs.at(-1)?.snapshot.spec).toMatchObject({
      models: [runs.modelOf(run.id)],
      // What is forgotten is told with it.
      base: model,
    })
    program.end('succeeded', results(Infinity))
    await settle()
    expect(
      texts.perplexities().map(({ subject, perplexity, device }) => [subject, perplexity, device]),
    ).toEqual([
      ['base', 7, 'cpu'],
      // JSON knows no infinity.
      [run.id, null, 'cpu'],
    ])
    await expect(texts.measure(request())).rejects.toMatchObject({
      code: 'bad_request',
      context: { field: 'subjects' },
    })
    // Under other conditions it is another measurement.
    await texts.measure(request({ context: 128 }))
    await texts.measure(request({ perLine: true }))
    expect(program.jobs).toHaveLength(5)
  })

  it('keeps nothing of what was removed meanwhile, and nothing when it fails', async () => {
    const { texts, request, id, program, settle } = await withText()
    await texts.measure(request())
    program.end('failed')
    expect(texts.perplexities()).toEqual([])
    await texts.measure(request())
    await texts.remove(id)
    program.end('succeeded', results(7))
    await settle()
    expect(texts.perplexities()).toEqual([])
  })

  it('needs the text, the model and the grown checkpoint', async () => {
    const { texts, request, base, program, model } = await withText()
    const ask = (changes: Partial<EvaluationRequest>) => texts.measure(request(changes))
    await expect(ask({ text: 'f'.repeat(16) })).rejects.toMatchObject({ code: 'not_found' })
    await expect(ask({ subjects: ['001-lesa'] })).rejects.toMatchObject({ code: 'not_found' })
    program.models.delete(model)
    await expect(ask({})).rejects.toMatchObject({ code: 'model_missing' })
    expect(base.state.state).toBe('missing')
    expect(program.jobs).toEqual([])
  })
})
