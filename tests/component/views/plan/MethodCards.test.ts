import { METHODS } from '@shared/methods'
import { mount } from '@vue/test-utils'
import { expect, it } from 'vitest'
import MethodCards from '../../../../src/renderer/src/views/plan/MethodCards.vue'

it('the cards say which methods are not for this model, and why', () => {
  const refusal = { code: 'unsupported_architecture', message: 'No.', hint: 'Norms.' } as const
  const view = mount(MethodCards, { props: { modelValue: 'lesa', refused: { fitted: refusal } } })
  const cards = view.findAll('.card')
  expect(cards).toHaveLength(METHODS.length)
  const refused = cards.filter((card) => card.text().includes('Not for this model.'))
  expect(refused.map((card) => card.get('strong').text())).toEqual(['Fitted'])
  expect(refused[0]?.attributes('title')).toBe('Norms.')
  expect(mount(MethodCards, { props: { modelValue: 'lesa' } }).text()).not.toContain('Not for')
})
