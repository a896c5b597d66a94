import { expect, it } from 'vitest'
import type { ExpertSummary } from '@shared/model'
import { expertsText, layerTypesText, mlpSizeOf } from '@shared/modelFacts'
import { formatModel } from '../../../src/main/cli/results'
import { modelSummary } from '../../support/summaries'

const experts: ExpertSummary = {
  count: 8,
  per_token: 2,
  intermediate_size: 24,
  shared_intermediate_size: null,
  layers: 12,
  active_parameters: 1000,
  active_parameters_per_layer: 100,
}

it('says what a token passes', () => {
  expect(expertsText(experts, String)).toBe('2 of 8 a token, of size 24')
  expect(expertsText({ ...experts, shared_intermediate_size: 40 }, String)).toBe(
    '2 of 8 a token, of size 24, one of size 40 for every token',
  )
})

it('counts layers of each type, in the order in which they come', () => {
  expect(layerTypesText(['a window', 'full', 'a window'])).toBe('2 × a window; 1 × full')
})

it('has an MLP’s size only where a layer has one', () => {
  expect(mlpSizeOf(modelSummary())).toBe(344)
  expect(mlpSizeOf(modelSummary({ experts }))).toBeNull()
  expect(mlpSizeOf(modelSummary({ experts: { ...experts, layers: 10 } }))).toBe(344)
  expect(mlpSizeOf(modelSummary({ intermediate_size: 0 }))).toBeNull()
})

it('leaves out of `inspect` what the model does not have', () => {
  const text = formatModel(modelSummary({ experts, num_attention_heads: 0 }))
  expect(text).not.toContain('MLP size')
  expect(text).toMatch(/^experts +2 of 8 a token, of size 24$/m)
  expect(text).toMatch(/^attention heads +–$/m)
  expect(text).not.toContain('layer types')
  expect(formatModel(modelSummary({ layer_types: ['full', 'a window'] }))).toMatch(
    /^layer types +1 × full; 1 × a window$/m,
  )
})
