import type { GenerateResult, JobSnapshot } from '@shared/jobs'
import { DEFAULT_DRAFT, runSettingsOf, type ContinuationRequest } from '@shared/projects'
import { expect, it, onTestFinished } from 'vitest'
import { Desk } from '../support/desk'
import { tempFolder } from '../support/tempFolder'

const request = (changes: Partial<ContinuationRequest> = {}): ContinuationRequest => ({
  subjects: ['base'],
  prompt: 'Ada walked to the',
  tokens: 12,
  temperature: 0,
  seed: 0,
  device: 'cpu',
  ...changes,
})

function resultOf(job: JobSnapshot): GenerateResult {
  if (job.result?.kind !== 'generate') throw new Error(job.error?.message ?? job.state)
  return job.result
}

it('a project’s models continue a text, in the queue with all else, and can be stopped', async () => {
  const desk = new Desk(await tempFolder())
  onTestFinished(() => desk.close())
  const { id } = await desk.call('projects:createDemo')
  const settings = {
    ...runSettingsOf(DEFAULT_DRAFT),
    device: 'cpu',
    method: { name: 'solar' },
  } as const
  const run = await desk.call('runs:start', id, { settings })
  await desk.ended(run.job ?? '')

  const first = await desk.call('continuations:start', id, request({ subjects: ['base', run.id] }))
  const second = await desk.call('continuations:start', id, request({ tokens: 150 }))
  expect(second.state).toBe('queued')
  expect(second.owner).toEqual({ project: id })
  // What a job reads stays.
  await expect(desk.call('runs:delete', id, run.id)).rejects.toMatchObject({ code: 'bad_request' })
  const done = await desk.ended(first.id)
  const { continuations, comparison } = resultOf(done)
  expect(continuations).toHaveLength(2)
  expect(comparison.models).toEqual([0, 1])
  expect(done.texts).toEqual({
    'text/0': continuations[0]?.text,
    'text/1': continuations[1]?.text,
  })

  const running = await desk.until(second.id, ({ texts }) => (texts?.['text/0'] ?? '') !== '')
  await desk.call('jobs:cancel', running.id)
  const stopped = await desk.ended(running.id)
  expect(stopped.state).toBe('cancelled')
  expect(stopped.texts?.['text/0']).toMatch(/^ garden/)

  await desk.call('runs:deleteModel', id, run.id)
  await expect(
    desk.call('continuations:start', id, request({ subjects: [run.id] })),
  ).rejects.toMatchObject({ code: 'not_found' })
  await expect(desk.call('continuations:start', id, request({ prompt: '' }))).rejects.toMatchObject(
    {
      code: 'bad_request',
    },
  )
  const long = await desk.call('continuations:start', id, request({ prompt: 'a b '.repeat(200) }))
  expect((await desk.ended(long.id)).error).toMatchObject({
    code: 'bad_request',
    context: { field: 'prompt' },
  })
})
