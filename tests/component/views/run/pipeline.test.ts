import type { JobSnapshot } from '@shared/jobs'
import { describe, expect, it } from 'vitest'
import { pipelineOf } from '../../../../src/renderer/src/views/run/pipeline'

const step = (id: string, done: number, total: number): JobSnapshot['steps'][number] => ({
  id,
  label: id,
  weight: 1,
  done,
  total,
})

const steps = [
  step('q_proj/decompose', 1, 1),
  step('q_proj/train', 30, 100),
  step('q_proj/predict', 0, 0),
  step('write', 0, 0),
]

describe('the pipeline', () => {
  it('has a row for each weight type and the other steps after them', () => {
    const { rows, others } = pipelineOf('running', steps, [])
    expect(rows).toEqual([
      {
        type: 'q_proj',
        cells: {
          decompose: { state: 'done', share: 1, seconds: null },
          train: { state: 'active', share: 0.3, seconds: null },
          predict: { state: 'waiting', share: null, seconds: null },
        },
      },
    ])
    expect(others.map(({ id, cell }) => [id, cell.state])).toEqual([['write', 'waiting']])
  })

  it('has what comes before the first weight type before it', () => {
    const { before, rows, others } = pipelineOf(
      'running',
      [
        step('experts', 1, 2),
        ...steps.slice(0, 3),
        step('experts.up_proj/train', 0, 1),
        ...steps.slice(3),
      ],
      [],
    )
    expect(before.map(({ id }) => id)).toEqual(['experts'])
    expect(rows.map(({ type }) => type)).toEqual(['q_proj', 'experts.up_proj'])
    expect(others.map(({ id }) => id)).toEqual(['write'])
  })

  it('stops where the run was stopped', () => {
    const [row] = pipelineOf('cancelled', steps, []).rows
    expect(row?.cells.train).toEqual({ state: 'stopped', share: 0.3, seconds: null })
    expect(row?.cells.decompose.state).toBe('done')
  })

  it('says how long the stages took once the run is over', () => {
    const timings = [
      { id: 'q_proj/decompose', label: '', seconds: 1.5 },
      { id: 'q_proj/train', label: '', seconds: null },
    ]
    const [row] = pipelineOf('failed', steps, timings).rows
    expect(row?.cells.decompose.seconds).toBe(1.5)
    expect(row?.cells.train.seconds).toBeNull()
  })

  it('is known from what was kept when the job is forgotten', () => {
    const timings = [
      { id: 'q_proj/decompose', label: 'decompose', seconds: 1.5 },
      { id: 'write', label: 'write checkpoint', seconds: null },
    ]
    const { rows, others } = pipelineOf('interrupted', [], timings)
    expect(rows[0]?.cells.decompose).toEqual({ state: 'done', share: 1, seconds: 1.5 })
    // Nothing waits in a run that has ended.
    expect(rows[0]?.cells.train.state).toBe('skipped')
    expect(others[0]?.cell.state).toBe('skipped')
  })

  it('is all done when the run has succeeded', () => {
    const { rows, others } = pipelineOf('succeeded', steps, [])
    expect(rows[0]?.cells.predict.state).toBe('done')
    expect(others[0]?.cell.state).toBe('done')
  })

  it('has no rows for a method that learns nothing', () => {
    const { rows, others } = pipelineOf('running', [step('write', 1, 2)], [])
    expect(rows).toEqual([])
    expect(others[0]?.cell).toEqual({ state: 'active', share: 0.5, seconds: null })
  })
})
