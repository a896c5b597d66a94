import { homedir } from 'node:os'
import { join, sep } from 'node:path'
import type { AppInfo, HostKind } from '@shared/contract'
import type { DeviceReport } from '@shared/devices'
import { endAll } from '@shared/endAll'
import type { EngineVersions } from '@shared/engineProtocol'
import { kindOf } from '@shared/jobs'
import type { EngineClient } from '../jobs/EngineClient'
import { JobManager } from '../jobs/JobManager'
import { ProjectManager } from '../projects/ProjectManager'
import { UserStore } from '../storage/UserStore'
import { jobHandlers } from './handlers/jobs'
import { modelHandlers } from './handlers/models'
import { placeHandlers, type NativeServices } from './handlers/places'
import { projectHandlers, type Estimator } from './handlers/projects'
import { PathGrants } from './PathGrants'
import { PushHub } from './pushes'
import { createRouter, type Handlers, type Router, type RouterOptions } from './router'

export interface WorkbenchOptions extends RouterOptions, NativeServices {
  /** Runs the jobs that take the device. */
  readonly engine: EngineClient
  /**
   * Answers questions and runs the small jobs, in a process of its own so that neither waits for a computation; the
   * other engine by default.
   */
  readonly queries?: EngineClient
  readonly host: HostKind
  readonly version: string
  /** The folder that holds `demo-model`. */
  readonly resources: string
  /** Keeps what belongs to the person: settings, recents, caches. */
  readonly userFolder: string
  /** Where projects are made unless the settings say otherwise. */
  readonly projectsFolder: string
}

/** Everything behind the contract, whichever host carries it. */
export interface Workbench {
  readonly router: Router
  readonly pushes: PushHub
  readonly jobs: JobManager
  readonly projects: ProjectManager
  readonly user: UserStore
  readonly grants: PathGrants
  /** Ends what runs as interrupted, brings everything to the disk and ends the engines. */
  dispose(): Promise<void>
}

export function createWorkbench(options: WorkbenchOptions): Workbench {
  const { engine, host, version, resources } = options
  const queries = options.queries ?? engine
  const demo = {
    model: join(resources, 'demo-model'),
    text: join(resources, 'demo-model', 'eval.txt'),
  }
  const pushes = new PushHub()
  const jobs = new JobManager((spec, run) =>
    (kindOf(spec).lane === 'light' ? queries : engine).runJob(spec, run),
  )
  jobs.subscribe((_job, update) => pushes.emit('jobs:changed', update))

  const user = new UserStore(options.userFolder)
  const grants = new PathGrants(async () => (await user.recents()).map(({ path }) => path))
  grants.grant(resources)
  grants.grant(options.projectsFolder)

  const versions = once<EngineVersions>(() => queries.call('versions'))
  // Trying the devices takes seconds, and what the machine has does not change while the program runs.
  const devices = once<readonly DeviceReport[]>(() => queries.call('devices'))

  const projects = new ProjectManager({
    services: {
      engine: {
        inspect: (path) => queries.call('inspect', path),
        identify: (path) => queries.call('identify', path),
        versions,
      },
      jobs,
      settings: () => user.settings(),
      onChange: (project) => pushes.emit('projects:changed', project.view()),
    },
    user,
    defaultFolder: options.projectsFolder,
    demo,
    ...(options.trash ? { trash: options.trash } : {}),
  })

  const onRecents = async (): Promise<void> => pushes.emit('recents:changed', await user.recents())
  const onSettings = async (): Promise<void> =>
    pushes.emit('settings:changed', await user.settings())
  const estimate: Estimator = async (spec, { keepsStages, isRecorded }) => {
    const { memoryLimitBytes } = await user.settings()
    return queries.call('estimate', {
      spec,
      calibrationFile: join(await user.cacheFolder(), 'speed.json'),
      keepsStages,
      isRecorded,
      ...(memoryLimitBytes === null ? {} : { memoryLimitBytes }),
    })
  }

  const handlers: Handlers = {
    'app:info': async () => ({
      version,
      host,
      platform: platformOf(process.platform),
      pathSeparator: sep,
      home: homedir(),
      projectsFolder: await projects.projectsFolder(),
      hasSystemTrash: options.trash !== undefined,
      canReveal: options.reveal !== undefined,
      demoModel: demo.model,
      demoText: demo.text,
    }),
    'devices:list': devices,
    ...placeHandlers({ host, native: options, user, grants, projects, onRecents, onSettings }),
    ...modelHandlers({ engine: queries, jobs, projects, user, grants, onRecents }),
    ...projectHandlers({ engine: queries, projects, grants, estimate, onRecents }),
    ...jobHandlers({
      jobs,
      grants,
      estimate,
      onReordered: (ids) => pushes.emit('jobs:reordered', ids),
    }),
  }

  return {
    router: createRouter(handlers, options),
    pushes,
    jobs,
    projects,
    user,
    grants,
    dispose: () =>
      endAll([jobs, projects, ...new Set([engine, queries])].map((part) => () => part.dispose())),
  }
}

/** Asks once and keeps the answer; after a failure it asks again. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | null = null
  return () => {
    answer ??= ask().catch((error: unknown) => {
      answer = null
      throw error
    })
    return answer
  }
}

function platformOf(platform: NodeJS.Platform): AppInfo['platform'] {
  return platform === 'linux' || platform === 'win32' || platform === 'darwin' ? platform : 'other'
}
