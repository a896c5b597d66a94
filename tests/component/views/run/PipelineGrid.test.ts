import { mount } from '@vue/test-utils'
import { expect, it } from 'vitest'
import PipelineGrid from '../../../../src/renderer/src/views/run/PipelineGrid.vue'
import type { StageCell } from '../../../../src/renderer/src/views/run/pipeline'

it('names steps of every kind alike, whoever has words for them', () => {
  const cell: StageCell = { state: 'done', share: 1, seconds: 2 }
  const others = [
    { id: 'experts', label: 'match experts', cell },
    { id: 'write', label: 'write checkpoint', cell },
  ]
  const grid = mount(PipelineGrid, { props: { pipeline: { rows: [], before: [], others } } })
  expect(grid.findAll('tbody th').map((name) => name.text())).toEqual([
    'Match experts',
    'Write the checkpoint',
  ])
})

it('shows steps in the order in which they come, with whole names of weight types', () => {
  const cell: StageCell = { state: 'waiting', share: null, seconds: null }
  const grid = mount(PipelineGrid, {
    props: {
      pipeline: {
        before: [{ id: 'experts', label: 'match experts', cell }],
        rows: [
          {
            type: 'shared_expert.gate_proj.window4096',
            cells: { decompose: cell, train: cell, predict: cell },
          },
        ],
        others: [{ id: 'write', label: 'write checkpoint', cell }],
      },
    },
  })
  expect(grid.findAll('tbody th').map((name) => name.element.textContent.trim())).toEqual([
    'Match experts',
    'shared_expert.gate_proj.window4096',
    'Write the checkpoint',
  ])
  expect(grid.findAll('tbody wbr')).toHaveLength(2)
})
