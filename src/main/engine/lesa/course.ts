/**
 * @file How a weight type's stages went: their series and their times. It is kept with their result, so that a job that
 * takes the result up can tell as much as the one that computed it.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobEvent } from '@shared/jobs'
import { LEARNED_STAGES, type LearnedStage } from './work'

interface Series {
  readonly x: number[]
  readonly y: number[]
}

/** Of one weight type. */
export interface Course {
  readonly series: Record<string, Series>
  /** Seconds of each stage that was computed. */
  readonly seconds: Partial<Record<LearnedStage, number>>
}

const courseFile = (folder: string): string => join(folder, 'course.json')

export function newCourse(): Course {
  return { series: {}, seconds: {} }
}

/** Passes a stage's events on and notes them. */
export async function* noting<T>(
  course: Course,
  stage: LearnedStage,
  events: AsyncGenerator<JobEvent, T>,
): AsyncGenerator<JobEvent, T> {
  const started = performance.now()
  for (;;) {
    const next = await events.next()
    if (next.done) {
      course.seconds[stage] ??= (performance.now() - started) / 1000
      return next.value
    }
    const event = next.value
    if (event.type === 'metric') {
      const { x, y } = (course.series[event.series] ??= { x: [], y: [] })
      x.push(...event.x)
      y.push(...event.y)
    }
    yield event
  }
}

/** Keeps it in the folder of the weight type's result. */
export async function writeCourse(folder: string, course: Course): Promise<void> {
  await writeFile(courseFile(folder), JSON.stringify(course))
}

/** The events of a weight type whose result is taken up from `folder`; results of before a course was kept have none. */
export async function* replay(folder: string, type: string): AsyncGenerator<JobEvent, void> {
  const course = await readCourse(folder)
  for (const [series, { x, y }] of Object.entries(course.series)) {
    // A loss that is not a number is written as `null`.
    yield { type: 'metric', series, x, y: y.map((value) => (value as number | null) ?? NaN) }
  }
  for (const stage of LEARNED_STAGES) {
    const kept = course.seconds[stage] ?? null
    yield { type: 'step', id: `${type}/${stage}`, done: 1, total: 1, kept }
  }
}

async function readCourse(folder: string): Promise<Course> {
  try {
    return JSON.parse(await readFile(courseFile(folder), 'utf8')) as Course
  } catch {
    return newCourse()
  }
}
