/** Views of a project, in the order in which one goes through them. */
export const PROJECT_VIEWS = [
  'model',
  'plan',
  'parameters',
  'run',
  'layers',
  'train',
  'compare',
  'export',
] as const

export type ProjectViewName = (typeof PROJECT_VIEWS)[number]

/** The route of a project's view: `project-plan`. */
export const projectRoute = (view: ProjectViewName): string => `project-${view}`
