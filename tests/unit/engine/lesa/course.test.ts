import type { JobEvent } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { newCourse, noting, replay, writeCourse } from '../../../../src/main/engine/lesa/course'
import { tempFolder } from '../../../support/tempFolder'

async function eventsOf(events: AsyncGenerator<JobEvent, unknown>): Promise<JobEvent[]> {
  const all: JobEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

async function* training(): AsyncGenerator<JobEvent, string> {
  await Promise.resolve()
  yield { type: 'metric', series: 'loss/q_proj', x: [1], y: [0.5] }
  yield { type: 'step', id: 'q_proj/train', done: 1, total: 2 }
  yield { type: 'metric', series: 'loss/q_proj', x: [2], y: [NaN] }
  return 'trained'
}

describe('the course of a weight type', () => {
  it('passes events on as they are, and is told again by whoever takes the result up', async () => {
    const folder = await tempFolder()
    const course = newCourse()
    expect(await eventsOf(noting(course, 'train', training()))).toEqual(await eventsOf(training()))
    await writeCourse(folder, course)
    const told = await eventsOf(replay(folder, 'q_proj'))
    expect(told[0]).toEqual({ type: 'metric', series: 'loss/q_proj', x: [1, 2], y: [0.5, NaN] })
    expect(told.slice(1)).toEqual([
      { type: 'step', id: 'q_proj/decompose', done: 1, total: 1, kept: null },
      { type: 'step', id: 'q_proj/train', done: 1, total: 1, kept: course.seconds.train },
      { type: 'step', id: 'q_proj/predict', done: 1, total: 1, kept: null },
    ])
  })

  it('is nothing but the steps for results of before it was kept', async () => {
    const told = await eventsOf(replay(await tempFolder(), 'q_proj'))
    expect(told.map(({ type }) => type)).toEqual(['step', 'step', 'step'])
  })
})
