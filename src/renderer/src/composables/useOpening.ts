import { AppError } from '@shared/errors'
import type { ProjectView } from '@shared/projects'
import { useRouter } from 'vue-router'
import { useClient } from '../api/client'
import { projectRoute } from '../lib/views'
import { useAppStore } from '../stores/app'
import { useChooserStore } from '../stores/chooser'
import { useProjectStore } from '../stores/project'
import { SHELL } from '../strings/shell'

export interface Opening {
  /** Opens whatever the folder holds. @throws AppError */
  openPath: (path: string) => Promise<void>
  /** @param force Takes it from another program that seems to have it open. @throws AppError */
  openProject: (path: string, force?: boolean) => Promise<void>
  /** The project that was tried last, however it was chosen. */
  lastProject: () => string | null
  openModel: (path: string) => Promise<void>
  /** Asks for the folder first. @throws AppError */
  chooseProject: () => Promise<void>
  /** Asks for the folder first. @throws AppError */
  chooseModel: () => Promise<void>
  /** @throws AppError */
  openDemo: () => Promise<void>
  showProject: (project: ProjectView) => Promise<void>
}

/** The ways into a project or a model; each ends in the view that shows it. */
export function useOpening(): Opening {
  const client = useClient()
  const router = useRouter()
  const app = useAppStore()
  const project = useProjectStore()
  const chooser = useChooserStore()

  async function showProject(opened: ProjectView): Promise<void> {
    await router.push({ name: projectRoute('model'), params: { id: opened.id } })
  }

  let last: string | null = null
  async function openProject(path: string, force = false): Promise<void> {
    last = path
    await showProject(await project.open(path, force))
  }

  async function openModel(path: string): Promise<void> {
    await router.push({ name: 'model', query: { path } })
  }

  async function openPath(path: string): Promise<void> {
    const { kind, path: full, problem } = await client.call('folders:identify', path)
    if (kind === 'project') await openProject(full)
    else if (kind === 'model') await openModel(full)
    else {
      throw problem
        ? AppError.fromData(problem)
        : new AppError('not_found', SHELL.notOpenableText(full), { context: { file: full } })
    }
  }

  async function chooseProject(): Promise<void> {
    const path = await chooser.folder({
      title: 'Open a project',
      purpose: 'project',
      firstStart: app.info?.projectsFolder ?? null,
      isEither: true,
    })
    if (path !== null) await openPath(path)
  }

  async function chooseModel(): Promise<void> {
    const path = await chooser.folder({
      title: 'Open a model',
      purpose: 'model',
      isEither: true,
    })
    if (path !== null) await openPath(path)
  }

  async function openDemo(): Promise<void> {
    await showProject(await project.createDemo())
  }

  return {
    openPath,
    openProject,
    lastProject: () => last,
    openModel,
    chooseProject,
    chooseModel,
    openDemo,
    showProject,
  }
}
