import { cp, mkdir, realpath, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { endAll } from '@shared/endAll'
import { AppError } from '@shared/errors'
import type { ProjectId } from '@shared/projects'
import { recentFactsOf } from '@shared/settings'
import { readError, systemCode, writeError } from '@system/errors'
import { makeFolder, renameRetrying } from '@system/files'
import { hubCacheFolder, modelFolderOf } from '@system/hubCache'
import type { Lock } from '@system/locks'
import { isWithin } from '@system/paths'
import type { UserStore } from '../storage/UserStore'
import { folderNameOf, projectPaths, PROJECT_FILE } from './layout'
import { Project, type ProjectServices } from './Project'
import { lockProject } from './projectLock'
import { projectIdOf } from './ProjectRecord'

export interface ProjectManagerOptions {
  readonly services: ProjectServices
  readonly user: UserStore
  /** Where new projects are made when the person has not said. */
  readonly defaultFolder: string
  /** The bundled model and text. */
  readonly demo: { readonly model: string; readonly text: string }
  /** The system's trash, where there is one. */
  readonly trash?: (path: string) => Promise<void>
}

interface OpenProject {
  readonly project: Project
  readonly lock: Lock
}

/** The projects that are open in this program. */
export class ProjectManager {
  readonly #open = new Map<ProjectId, OpenProject>()
  /** Projects that are being opened: a second window waits for the first. */
  readonly #opening = new Map<ProjectId, Promise<Project>>()

  constructor(private readonly options: ProjectManagerOptions) {}

  list(): Project[] {
    return [...this.#open.values()].map(({ project }) => project)
  }

  /** @throws AppError `not_found` when it is not open. */
  get(id: ProjectId): Project {
    const open = this.#open.get(id)
    if (open) return open.project
    throw new AppError('not_found', 'The project is not open.', { hint: 'Open it again.' })
  }

  /** The folder for new projects. */
  async projectsFolder(): Promise<string> {
    return (await this.options.user.settings()).projectsFolder ?? this.options.defaultFolder
  }

  /**
   * Opens a project's folder, or finds it open.
   *
   * @param options.force Take it from whoever seems to have it open.
   * @throws AppError `not_found`, `unsupported_version`, `in_use`, and what the system says.
   */
  async open(path: string, { force = false }: { readonly force?: boolean } = {}): Promise<Project> {
    const folder = await realpath(path).catch((error: unknown) => {
      throw readError(error, path, 'damaged_file')
    })
    const id = projectIdOf(folder)
    const known = this.#open.get(id)
    await known?.project.base.refresh()
    const project =
      known?.project ?? (await this.#once(id, () => this.#openFolder(id, folder, force)))
    await this.#remember(project)
    return project
  }

  /** Puts a project first in the list of recents. */
  async #remember({ folder, name, base }: Project): Promise<void> {
    const { state } = base
    const facts = 'summary' in state ? recentFactsOf(state.summary) : undefined
    await this.options.user.addRecent({ kind: 'project', path: folder, name, facts })
  }

  /**
   * Makes a project in a new folder.
   *
   * @param parent The projects folder by default, made if need be.
   */
  async create(options: { name: string; model: string; parent?: string }): Promise<Project> {
    const model = await realpath(await modelFolderOf(options.model)).catch((error: unknown) => {
      throw readError(error, options.model)
    })
    const parent = options.parent ?? (await this.projectsFolder())
    if (isWithin(parent, model)) {
      throw new AppError('path_denied', 'A project cannot lie in the folder of its model.', {
        hint: 'Choose a folder beside the model.',
        context: { file: parent },
      })
    }
    return this.#inNewFolder(parent, options.name, (folder) =>
      Project.create(folder, { name: options.name, model }, this.options.services),
    )
  }

  /** The bundled model with its text: a project that holds all it needs. */
  async createDemo(): Promise<Project> {
    const { model, text } = this.options.demo
    const parent = await this.projectsFolder()
    return this.#inNewFolder(parent, 'Demo', async (folder) => {
      const own = projectPaths.model(folder)
      await cp(model, own, { recursive: true })
      const options = { name: basename(folder), model: own }
      const project = await Project.create(folder, options, this.options.services)
      await project.texts.add(text)
      return project
    })
  }

  /** A copy in a folder beside it. Grown checkpoints and the work for later runs and trainings are not copied. */
  async duplicate(
    id: ProjectId,
    { name, withRuns }: { name: string; withRuns: boolean },
  ): Promise<Project> {
    const source = this.get(id)
    await source.settle()
    const { folder: from } = source
    const isCopied = (path: string): boolean => {
      const [part, , entry = ''] = relative(from, path).split(/[\\/]/)
      if (part === 'work') return false
      if (part === 'trainings')
        return withRuns && !/^(?:work|texts|models|runs)(?:\.|$)/.test(entry)
      return part !== 'runs' || (withRuns && !/^model(?:\.|$)/.test(entry))
    }
    return this.#inNewFolder(dirname(from), name, async (folder) => {
      await cp(from, folder, { recursive: true, filter: isCopied })
      const copy = await Project.open(folder, this.options.services)
      await copy.rename(name)
      return copy
    })
  }

  /** Its jobs go on; opening it again finds them. */
  async close(id: ProjectId): Promise<void> {
    const project = this.get(id)
    await project.settle()
    // Its jobs write to it: it stays open behind the scenes until they have ended.
    if (project.isBusy) return
    await this.#release(id)
  }

  /**
   * Moves a project to the trash: the system's, or the folder `.trash` beside it.
   *
   * @returns Where it is now, where that is a folder.
   */
  async delete(id: ProjectId): Promise<string | null> {
    const project = this.get(id)
    // What has just ended may have left work for another job.
    await project.settle()
    project.refuseBusy()
    const { folder } = project
    const { trash, user } = this.options
    // Something else that was put there by hand must not go with it unseen.
    if (!(await stat(projectPaths.file(folder)).catch(() => null))) {
      throw new AppError('not_found', `${folder} holds no ${PROJECT_FILE} any more.`, {
        context: { file: folder },
      })
    }
    await this.#release(id)
    const movedTo = await this.#throwAway(folder, trash)
    await user.removeRecent(folder)
    return movedTo
  }

  /** Closes all; their jobs must have ended. */
  async dispose(): Promise<void> {
    await endAll([...this.#open.keys()].map((id) => () => this.#release(id)))
  }

  async #release(id: ProjectId): Promise<void> {
    const open = this.#open.get(id)
    if (!open) return
    await endAll([
      () => open.project.settle(),
      () => {
        this.#open.delete(id)
        return open.lock.release()
      },
    ])
  }

  async #once(id: ProjectId, open: () => Promise<Project>): Promise<Project> {
    const under = this.#opening.get(id)
    if (under) return under
    const opening = open().finally(() => this.#opening.delete(id))
    this.#opening.set(id, opening)
    return opening
  }

  async #openFolder(id: ProjectId, folder: string, force: boolean): Promise<Project> {
    const lock = await lockProject(this.options.user.folder, id, folder, { force })
    try {
      const project = await Project.open(folder, this.options.services)
      this.#open.set(id, { project, lock })
      return project
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** Makes a folder that no other has, and a project in it; a project that fails leaves nothing. */
  async #inNewFolder(
    parent: string,
    name: string,
    make: (folder: string) => Promise<Project>,
  ): Promise<Project> {
    refuseCache(parent)
    const folder = await newFolder(parent, folderNameOf(name))
    const id = projectIdOf(folder)
    const lock = await lockProject(this.options.user.folder, id, folder)
    try {
      const project = await make(folder)
      this.#open.set(id, { project, lock })
      await this.#remember(project)
      return project
    } catch (error) {
      await lock.release()
      await rm(folder, { recursive: true, force: true })
      throw writeError(error, folder)
    }
  }

  async #throwAway(
    folder: string,
    trash: ((path: string) => Promise<void>) | undefined,
  ): Promise<string | null> {
    try {
      if (trash) {
        await trash(folder)
        return null
      }
      const bin = join(dirname(folder), '.trash')
      await mkdir(bin, { recursive: true })
      const stamp = new Date().toISOString().replace(/[:.]/g, '-')
      const target = join(bin, `${basename(folder)} ${stamp}`)
      await renameRetrying(folder, target)
      return target
    } catch (error) {
      throw writeError(error, folder)
    }
  }
}

/** The cache's own tools may remove what they do not know. */
function refuseCache(parent: string): void {
  if (!isWithin(parent, hubCacheFolder())) return
  throw new AppError('path_denied', 'A project cannot lie in the Hugging Face cache.', {
    hint: 'Choose another folder.',
    context: { file: parent },
  })
}

/** Makes `parent/name`, or `parent/name 2` and so on when that is taken; returns its path, links resolved. */
async function newFolder(parent: string, name: string): Promise<string> {
  try {
    await makeFolder(parent)
    for (let n = 1; ; n += 1) {
      const folder = join(parent, n === 1 ? name : `${name} ${n}`)
      try {
        await mkdir(folder)
        return await realpath(folder)
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error
      }
    }
  } catch (error) {
    throw writeError(error, parent)
  }
}
