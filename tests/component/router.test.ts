import { beforeEach, describe, expect, it } from 'vitest'
import { createMemoryHistory, createRouter, type Router } from 'vue-router'
import { PROJECT_VIEWS, projectRoute } from '../../src/renderer/src/lib/views'
import { keepChosenRun } from '../../src/renderer/src/router'

const PROJECT = '0123456789abcdef'
const routes = PROJECT_VIEWS.map((view) => ({
  path: `/project/:id/${view}`,
  name: projectRoute(view),
  component: {},
}))

let router: Router
beforeEach(() => {
  sessionStorage.clear()
  router = createRouter({ history: createMemoryHistory(), routes })
  keepChosenRun(router)
})

const at = async (view: string, query = ''): Promise<string> => {
  await router.push(`/project/${PROJECT}/${view}${query}`)
  return String(router.currentRoute.value.query['run'])
}

describe('the run that is looked at', () => {
  it('stays the same from view to view, until another is chosen', async () => {
    expect(await at('layers')).toBe('undefined')
    await at('run', '?run=001-lesa')
    expect(await at('layers')).toBe('001-lesa')
    expect(await at('export', '?run=002-solar')).toBe('002-solar')
    expect(await at('run')).toBe('002-solar')
  })

  it('is not the preparation of a new one, which is a place in the Run view alone', async () => {
    await at('run', '?run=001-lesa')
    expect(await at('run', '?run=new')).toBe('new')
    expect(await at('layers')).toBe('001-lesa')
  })

  it('is another in another project', async () => {
    await at('run', '?run=001-lesa')
    await router.push(`/project/${'f'.repeat(16)}/layers`)
    expect(router.currentRoute.value.query['run']).toBeUndefined()
  })
})
