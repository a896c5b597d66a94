import { createRouter, createWebHashHistory, type Router, type RouteRecordRaw } from 'vue-router'
import { PROJECT_VIEWS, projectRoute, type ProjectViewName } from '../lib/views'

const projectViews: Record<ProjectViewName, () => Promise<unknown>> = {
  model: () => import('../views/model/ModelView.vue'),
  plan: () => import('../views/plan/PlanView.vue'),
  parameters: () => import('../views/parameters/ParametersView.vue'),
  run: () => import('../views/run/RunView.vue'),
  layers: () => import('../views/layers/LayersView.vue'),
  train: () => import('../views/train/TrainView.vue'),
  compare: () => import('../views/compare/CompareView.vue'),
  export: () => import('../views/export/ExportView.vue'),
}

export const routes: RouteRecordRaw[] = [
  { path: '/', name: 'start', component: () => import('../views/start/StartView.vue') },
  {
    path: '/settings',
    name: 'settings',
    component: () => import('../views/settings/SettingsView.vue'),
  },
  /** A model outside of any project, by its path. */
  { path: '/model', name: 'model', component: () => import('../views/model/OpenModelView.vue') },
  {
    path: '/project/:id([0-9a-f]{16})',
    component: () => import('../views/ProjectFrame.vue'),
    children: [
      { path: '', redirect: (to) => ({ name: projectRoute('model'), params: to.params }) },
      ...PROJECT_VIEWS.map((view): RouteRecordRaw => ({
        path: view,
        name: projectRoute(view),
        component: projectViews[view],
      })),
    ],
  },
  { path: '/:rest(.*)*', redirect: { name: 'start' } },
]

/** The places of the window are in the hash, so that reloading shows the same one on either host. */
export function createAppRouter(): Router {
  const router = createRouter({ history: createWebHashHistory(), routes })
  keepChosenRun(router)
  return router
}

/** Views that show one run of the project. */
const RUN_VIEWS: readonly ProjectViewName[] = ['run', 'layers', 'export']

/**
 * The run that somebody looks at stays the same from one view to the next: a way to a view that names none is a way to
 * the run that was looked at last. What is remembered lasts as long as the window's session.
 */
export function keepChosenRun(router: Router): void {
  const names = RUN_VIEWS.map((view) => projectRoute(view))
  router.beforeEach((to) => {
    if (typeof to.name !== 'string' || !names.includes(to.name)) return true
    const key = `lesa.run.${String(to.params['id'])}`
    const asked = to.query['run']
    if (typeof asked === 'string') {
      // Preparing a new run is a place in the Run view alone.
      if (asked !== 'new') remember(key, asked)
      return true
    }
    const run = recall(key)
    return run === null ? true : { ...to, query: { ...to.query, run } }
  })
}

function remember(key: string, run: string): void {
  try {
    sessionStorage.setItem(key, run)
  } catch {
    // Storage may be switched off: then each view chooses for itself.
  }
}

function recall(key: string): string | null {
  try {
    return sessionStorage.getItem(key)
  } catch {
    return null
  }
}
