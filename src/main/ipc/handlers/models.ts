import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { JobSnapshot } from '@shared/jobs'
import { recentFactsOf } from '@shared/settings'
import type { ModelStatistics, StatisticsState } from '@shared/statistics'
import { listHubCache } from '@system/hubCache'
import { isWithin } from '@system/paths'
import type { EngineClient } from '../../jobs/EngineClient'
import type { JobManager } from '../../jobs/JobManager'
import type { ProjectManager } from '../../projects/ProjectManager'
import type { UserStore } from '../../storage/UserStore'
import type { PathGrants } from '../PathGrants'
import type { Handlers } from '../router'

type ModelHandlers = Pick<Handlers, Extract<keyof Handlers, `models:${string}`>>

/** Of what the files hold. */
const STATISTICS_VERSION = 2

export interface ModelServices {
  readonly engine: Pick<EngineClient, 'call'>
  readonly jobs: JobManager
  readonly projects: ProjectManager
  readonly user: UserStore
  readonly grants: PathGrants
  /** The recents have changed. */
  readonly onRecents: () => Promise<void>
}

export function modelHandlers(services: ModelServices): ModelHandlers {
  const { engine, jobs, projects, user, grants, onRecents } = services

  /** Where a checkpoint's statistics are kept: with those of other checkpoints, under its fingerprint. */
  const statisticsFile = async (path: string): Promise<string> => {
    const fingerprint = await engine.call('fingerprint', path)
    return join(await user.cacheFolder(), 'statistics', `${fingerprint}-${STATISTICS_VERSION}.json`)
  }
  const jobFor = (file: string): JobSnapshot | undefined =>
    jobs
      .list()
      .find(
        ({ spec, endedAt }) =>
          spec.kind === 'statistics' && spec.file === file && endedAt === undefined,
      )

  return {
    'models:cached': async () => {
      const cache = await listHubCache()
      // Only to be read: an output within the cache is refused.
      for (const { path } of cache.models) grants.grant(path)
      return cache
    },
    'models:inspect': async (given) => {
      const path = await grants.require(given)
      const summary = await engine.call('inspect', path)
      // A file of weights, or a repository in the cache, leads to its folder.
      if (summary.path !== path) grants.grant(summary.path)
      // A project's own model comes back with the project.
      if (!projects.list().some(({ folder }) => isWithin(path, folder))) {
        await user.addRecent({ kind: 'model', path: summary.path, facts: recentFactsOf(summary) })
        await onRecents()
      }
      return summary
    },
    'models:config': async (path) => engine.call('config', await grants.require(path)),
    'models:tensors': async (path) => engine.call('tensors', await grants.require(path)),
    'models:tensor': async (path, name) => engine.call('tensor', await grants.require(path), name),
    'models:growth': async (path, settings) =>
      engine.call('growth', await grants.require(path), settings),
    'models:statistics': async (given) => {
      const file = await statisticsFile(await grants.require(given))
      const running = jobFor(file)
      if (running) return { state: 'running', job: running.id }
      return (await readStatistics(file)) ?? { state: 'absent' }
    },
    'models:computeStatistics': async (given) => {
      const model = await grants.require(given)
      const file = await statisticsFile(model)
      if (await readStatistics(file)) {
        throw new AppError('bad_request', 'The statistics of this model are there already.')
      }
      return jobFor(file) ?? jobs.start({ kind: 'statistics', model, file })
    },
  }
}

/** `null` when there are none, or none that can be read: they are computed again then. */
async function readStatistics(file: string): Promise<StatisticsState | null> {
  try {
    const statistics = JSON.parse(await readFile(file, 'utf8')) as ModelStatistics
    return { state: 'ready', statistics }
  } catch {
    return null
  }
}
