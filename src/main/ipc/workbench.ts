import { homedir } from 'node:os'
import { join, sep } from 'node:path'
import type { AppInfo, HostKind } from '@shared/contract'
import type { DeviceReport } from '@shared/devices'
import type { EngineClient } from '../jobs/EngineClient'
import { JobManager } from '../jobs/JobManager'
import { listFolders } from './handlers/folders'
import { jobHandlers } from './handlers/jobs'
import { pendingHandlers } from './handlers/pending'
import { resolvePath } from './paths'
import { PushHub } from './pushes'
import { createRouter, type Handlers, type Router, type RouterOptions } from './router'

export interface WorkbenchOptions extends RouterOptions {
  readonly engine: EngineClient
  readonly host: HostKind
  readonly version: string
  /** The folder that holds `demo-model`. */
  readonly resources: string
  /** The native folder dialog, where there is one. */
  readonly chooseFolder?: () => Promise<string | null>
}

/** Everything behind the contract, whichever host carries it. */
export interface Workbench {
  readonly router: Router
  readonly pushes: PushHub
  readonly jobs: JobManager
  /** Cancels what runs and ends the engine. */
  dispose(): Promise<void>
}

export function createWorkbench(options: WorkbenchOptions): Workbench {
  const { engine, host, version, resources, chooseFolder } = options
  const pushes = new PushHub()
  const jobs = new JobManager((spec, run) => engine.runJob(spec, run))
  jobs.subscribe((snapshot) => pushes.emit('jobs:changed', snapshot))

  // Trying the devices takes seconds, and what the machine has does not change while the program runs.
  let devices: Promise<readonly DeviceReport[]> | null = null
  const listDevices = (): Promise<readonly DeviceReport[]> => {
    devices ??= engine.call('devices').catch((error: unknown) => {
      devices = null
      throw error
    })
    return devices
  }

  const handlers: Handlers = {
    ...pendingHandlers(),
    'app:info': () => ({
      version,
      host,
      platform: platformOf(process.platform),
      pathSeparator: sep,
      home: homedir(),
      projectsFolder: join(homedir(), 'LESA Workbench'),
      hasSystemTrash: false,
      canReveal: false,
      demoModel: join(resources, 'demo-model'),
      demoText: join(resources, 'demo-model', 'eval.txt'),
    }),
    'devices:list': listDevices,
    'models:inspect': (path) => engine.call('inspect', resolvePath(path)),
    'folders:list': listFolders,
    'folders:choose': async () => (await chooseFolder?.()) ?? null,
    ...jobHandlers(jobs),
  }

  return {
    router: createRouter(handlers, options),
    pushes,
    jobs,
    async dispose() {
      await jobs.dispose()
      await engine.dispose()
    },
  }
}

function platformOf(platform: NodeJS.Platform): AppInfo['platform'] {
  return platform === 'linux' || platform === 'win32' || platform === 'darwin' ? platform : 'other'
}
