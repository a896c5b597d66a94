import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ComparisonRequest } from '@shared/comparisons'
import type { JobResult, PerplexityResult } from '@shared/jobs'
import { DEFAULT_DRAFT, runSettingsOf } from '@shared/projects'
import { DEFAULT_TRAINING } from '@shared/trainings'
import { describe, expect, it } from 'vitest'
import { grow, projectParts, train } from '../../../support/projectParts'

type Parts = Awaited<ReturnType<typeof projectParts>>

/** Half the rest of any text is fitted to and half is measured on. */
async function parts() {
  const made = await projectParts()
  const { texts } = made
  const { text } = await texts.addContent('whole.txt', 'one two\nthree four\n')
  const [seen, measured] = await texts.split(text.id)
  return { ...made, seen, measured }
}

function request(
  { measured, seen }: { measured: { id: string }; seen: { id: string } },
  changes: Partial<ComparisonRequest> = {},
): ComparisonRequest {
  return {
    like: runSettingsOf({ ...DEFAULT_DRAFT, method: 'solar', overlap: 3 }),
    methods: ['solar', 'fitted', 'neighbour-mean'],
    text: measured.id,
    device: 'auto',
    calibration: { text: { text: seen.id } },
    ...changes,
  }
}

const perplexityOf = (model: string, context: number): PerplexityResult => ({
  model,
  perplexity: 2,
  tokens: 10,
  predicted: 8,
  standardError: 0.1,
  context,
  num_hidden_layers: 18,
  seconds: 1,
  window_nll: [1, 2],
  window_tokens: [4, 4],
})

/** Ends the oldest job that is open as the engine would, and answers its kind. */
async function work({ program, record, settle, comparisons }: Parts): Promise<string | null> {
  await settle()
  const job = program.jobs.find(({ snapshot }) => snapshot.endedAt === undefined)
  if (!job) return null
  const { spec } = job.snapshot
  let result: JobResult
  switch (spec.kind) {
    case 'expand': {
      const run = join(spec.out, '..')
      await mkdir(run, { recursive: true })
      result = { ...(await grow(run)), method: spec.method.name }
      break
    }
    case 'evaluate':
      result = {
        kind: 'evaluate',
        results: spec.models.map((model) => perplexityOf(model, spec.context ?? 2)),
      }
      break
    case 'pretrain':
      result = await train(spec)
      break
    default:
      throw new Error(`not of a comparison: ${spec.kind}`)
  }
  program.endJob(job.snapshot.id, 'succeeded', result)
  for (let turn = 0; turn < 20; turn += 1) {
    await settle()
    await comparisons.settle()
  }
  expect(record.problems).toEqual([])
  return spec.kind
}

describe('a comparison of all methods', () => {
  it('grows what is missing, measures all once with the base, and is done', async () => {
    const made = await parts()
    await made.comparisons.start(request(made))
    expect(made.comparisons.current()).toMatchObject({ state: 'running', impossible: [] })
    expect(
      made.runs.summaries().map(({ method, newLayers }) => [method, newLayers.length]),
    ).toEqual([
      ['neighbour-mean', 6],
      ['fitted', 6],
      ['solar', 6],
    ])
    const kinds: (string | null)[] = []
    for (let step = 0; step < 5; step += 1) kinds.push(await work(made))
    expect(kinds).toEqual(['expand', 'expand', 'expand', 'evaluate', null])
    const [fitted] = made.program.jobs.flatMap(({ snapshot: { spec } }) =>
      spec.kind === 'expand' && spec.method.name === 'fitted' ? [spec] : [],
    )
    expect(fitted?.calibration?.text).toMatch(/whole, first half\.txt$/)
    const [measuring] = made.program.jobs.flatMap(({ snapshot: { spec } }) =>
      spec.kind === 'evaluate' ? [spec] : [],
    )
    expect(measuring).toMatchObject({ base: made.model, models: { length: 4 } })
    expect(made.comparisons.current()).toMatchObject({
      state: 'done',
      measured: { done: 4, all: 4 },
    })
    expect(made.texts.perplexities()[0]).toMatchObject({
      losses: { windowNll: [1, 2], windowTokens: [4, 4] },
    })
    // All is there: the next one has nothing to do.
    await made.comparisons.start(request(made))
    await made.settle()
    expect(made.comparisons.current()).toMatchObject({ state: 'done' })
    expect(made.program.jobs).toHaveLength(4)
  })

  it('trains the starts once they are measured, and measures them again', async () => {
    const made = await parts()
    const race = { ...DEFAULT_TRAINING, texts: [{ text: made.seen.id }] }
    await made.comparisons.start(request(made, { methods: ['solar', 'neighbour-mean'], race }))
    const kinds: (string | null)[] = []
    for (let step = 0; step < 6; step += 1) kinds.push(await work(made))
    expect(kinds.slice(0, 5)).toEqual(['expand', 'expand', 'evaluate', 'pretrain', 'evaluate'])
    expect(made.comparisons.current()).toMatchObject({
      state: 'done',
      measured: { done: 5, all: 5 },
    })
  })

  it('names the methods that cannot make the depth', async () => {
    const made = await parts()
    const like = runSettingsOf({ ...DEFAULT_DRAFT, method: 'neighbour-mean', gaps: [2, 5, 8] })
    await made.comparisons.start(request(made, { like, methods: ['solar', 'neighbour-mean'] }))
    expect(made.comparisons.current()?.impossible).toEqual([
      { method: 'solar', reason: expect.stringContaining('layers to 12, not 3.') as string },
    ])
    expect(made.runs.summaries()).toHaveLength(1)
  })

  it('fits to no text that it measures on, wherever it lies, and trains on none', async () => {
    const made = await parts()
    const copy = join(made.home, 'copy.txt')
    await writeFile(copy, 'three four\n')
    for (const text of [{ text: made.measured.id }, { path: copy }]) {
      await expect(
        made.comparisons.start(request(made, { calibration: { text } })),
      ).rejects.toMatchObject({
        code: 'bad_request',
        message: 'Fitted would be fitted to the text that all are measured on.',
      })
    }
    const race = { ...DEFAULT_TRAINING, texts: [{ text: made.measured.id }] }
    await expect(
      made.comparisons.start(request(made, { methods: ['solar'], race })),
    ).rejects.toMatchObject({ code: 'bad_request' })
    expect(made.program.jobs).toEqual([])
    await expect(
      made.comparisons.start({ ...request(made), calibration: undefined }),
    ).rejects.toMatchObject({ message: 'Fitted is fitted on a text, and none is chosen.' })
    expect(made.program.jobs).toEqual([])
  })

  it('is stopped with what it has begun, and goes on', async () => {
    const made = await parts()
    await made.comparisons.start(request(made, { methods: ['solar', 'neighbour-mean'] }))
    await made.comparisons.stop()
    await made.settle()
    expect(made.comparisons.current()).toMatchObject({ state: 'stopped' })
    expect(made.runs.summaries().map(({ state }) => state)).toEqual(['cancelled', 'cancelled'])
    await made.comparisons.resume()
    const kinds: (string | null)[] = []
    for (let step = 0; step < 4; step += 1) kinds.push(await work(made))
    expect(kinds).toEqual(['expand', 'expand', 'evaluate', null])
    expect(made.comparisons.current()).toMatchObject({ state: 'done' })
  })

  it('was interrupted when the program ended while it ran', async () => {
    const made = await parts()
    await made.comparisons.start(request(made))
    await made.comparisons.load()
    expect(made.comparisons.current()).toMatchObject({ state: 'interrupted' })
    await made.comparisons.clear()
    expect(made.comparisons.current()).toBeNull()
  })
})
