import { callArguments, type CallName } from '@shared/contract'
import type { JobSnapshot, JobUpdate } from '@shared/jobs'
import type { Handlers } from '../../src/main/ipc/router'
import { evaluateSpec } from './specs'

export const snapshot: JobSnapshot = {
  id: 'job-1',
  spec: evaluateSpec(),
  state: 'queued',
  seq: 0,
  createdAt: 1,
  steps: [],
  progress: 0,
  series: {},
  log: [],
}

/** What the program tells of a job that is new to a window. */
export function told(job: JobSnapshot): JobUpdate {
  return { job: job.id, seq: job.seq, events: [], snapshot: job }
}

/** Handlers that answer something of the right type and record what they were called with. */
export function recordingHandlers(changes: Partial<Handlers> = {}): {
  handlers: Handlers
  calls: { name: CallName; args: readonly unknown[] }[]
} {
  const calls: { name: CallName; args: readonly unknown[] }[] = []
  const note =
    <T>(name: CallName, answer: T) =>
    (...args: readonly unknown[]): T => {
      calls.push({ name, args })
      return answer
    }
  const others = Object.fromEntries(
    Object.keys(callArguments).map((name) => [
      name,
      () => Promise.reject(new Error('not asked for')),
    ]),
  ) as unknown as Handlers
  const handlers: Handlers = {
    ...others,
    'app:info': note('app:info', {
      version: '1.2.3',
      host: 'browser',
      platform: 'linux',
      pathSeparator: '/',
      home: '/home/someone',
      projectsFolder: '/home/someone/LESA Workbench',
      hasSystemTrash: false,
      canReveal: false,
      demoModel: '/demo-model',
      demoText: '/demo-model/eval.txt',
    }),
    'devices:list': note('devices:list', []),
    'models:inspect': (path) => {
      calls.push({ name: 'models:inspect', args: [path] })
      return Promise.reject(new Error('not asked for'))
    },
    'folders:list': note('folders:list', { path: '/', parent: null, folders: [], files: [] }),
    'folders:choose': note('folders:choose', null),
    'jobs:start': note('jobs:start', snapshot),
    'jobs:cancel': note('jobs:cancel', snapshot),
    'jobs:pause': note('jobs:pause', snapshot),
    'jobs:get': note('jobs:get', snapshot),
    'jobs:list': note('jobs:list', []),
    ...changes,
  }
  return { handlers, calls }
}
