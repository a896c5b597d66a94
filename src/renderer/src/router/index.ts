import { createRouter, createWebHashHistory, type Router, type RouteRecordRaw } from 'vue-router'
import { PROJECT_VIEWS, projectRoute, type ProjectViewName } from '../lib/views'

const projectViews: Record<ProjectViewName, () => Promise<unknown>> = {
  model: () => import('../views/model/ModelView.vue'),
  plan: () => import('../views/plan/PlanView.vue'),
  parameters: () => import('../views/parameters/ParametersView.vue'),
  run: () => import('../views/run/RunView.vue'),
  layers: () => import('../views/layers/LayersView.vue'),
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
  return createRouter({ history: createWebHashHistory(), routes })
}
