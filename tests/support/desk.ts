import { join } from 'node:path'
import type { CallArguments, CallName, CallResults, Envelope } from '@shared/contract'
import { AppError } from '@shared/errors'
import type { JobSnapshot } from '@shared/jobs'
import { EngineClient } from '../../src/main/jobs/EngineClient'
import { NodeEngineProcess } from '../../src/main/jobs/NodeEngineProcess'
import { createWorkbench, type Workbench } from '../../src/main/ipc/workbench'
import { built, PROJECT } from './built'

/** The whole program without a window: what a renderer would call, against the real engine. */
export class Desk {
  readonly workbench: Workbench
  /** Every engine process that was started, the computing one's first. */
  readonly processes: NodeEngineProcess[] = []

  /**
   * @param folder Holds the person's settings and projects; the same one is the same person.
   */
  constructor(readonly folder: string) {
    const start = (): EngineClient =>
      new EngineClient(() => {
        const process = new NodeEngineProcess(built('main/engine.js'))
        this.processes.push(process)
        return process
      })
    this.workbench = createWorkbench({
      engine: start(),
      queries: start(),
      host: 'browser',
      version: '1.2.3',
      resources: join(PROJECT, 'resources'),
      userFolder: join(folder, 'user'),
      projectsFolder: join(folder, 'projects'),
    })
  }

  /** @throws AppError what the window would get. */
  async call<C extends CallName>(name: C, ...args: CallArguments<C>): Promise<CallResults[C]> {
    // Through JSON, as the browser host sends it.
    const sent = JSON.parse(JSON.stringify(args)) as unknown
    const envelope = (await this.workbench.router.dispatch(name, sent)) as Envelope<CallResults[C]>
    if (!envelope.ok) throw AppError.fromData(envelope.error)
    return JSON.parse(JSON.stringify(envelope.value)) as CallResults[C]
  }

  /** Resolves with a job's snapshot once `isWanted` says so. */
  async until(job: string, isWanted: (snapshot: JobSnapshot) => boolean): Promise<JobSnapshot> {
    const { jobs } = this.workbench
    const now = jobs.get(job)
    if (isWanted(now)) return now
    return new Promise((resolve) => {
      const leave = jobs.subscribe((snapshot) => {
        if (snapshot.id !== job || !isWanted(snapshot)) return
        leave()
        resolve(snapshot)
      })
    })
  }

  /** Resolves when a job has ended and everything about it is on the disk. */
  async ended(job: string): Promise<JobSnapshot> {
    const snapshot = await this.until(job, ({ endedAt }) => endedAt !== undefined)
    for (const project of this.workbench.projects.list()) await project.settle()
    return snapshot
  }

  close(): Promise<void> {
    return this.workbench.dispose()
  }
}
