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
  const grid = mount(PipelineGrid, { props: { pipeline: { rows: [], others } } })
  expect(grid.findAll('tbody th').map((name) => name.text())).toEqual([
    'Match experts',
    'Write the checkpoint',
  ])
})
