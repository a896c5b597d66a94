import type { EngineVersions } from '@shared/engineProtocol'
import type { ModelIdentity, ModelSummary } from '@shared/model'
import type { Settings } from '@shared/settings'
import type { JobManager } from '../jobs/JobManager'

/** What the parts of a project need of the rest of the program. */
export interface PartServices {
  readonly engine: {
    inspect(path: string): Promise<ModelSummary>
    identify(path: string): Promise<ModelIdentity>
    versions(): Promise<EngineVersions>
  }
  readonly jobs: Pick<JobManager, 'start' | 'list' | 'cancel'>
  readonly settings: () => Promise<Settings>
}
