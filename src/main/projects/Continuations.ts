import type { GenerateSpec, JobSnapshot } from '@shared/jobs'
import type { ContinuationRequest } from '@shared/projects'
import type { BaseModel } from './BaseModel'
import type { ProjectRecord } from './ProjectRecord'
import type { RunBook } from './RunBook'
import type { PartServices } from './services'

/** Texts that a project's models continue. Nothing of them is kept but in the job, while the program remembers it. */
export class Continuations {
  constructor(
    private readonly record: ProjectRecord,
    private readonly base: BaseModel,
    private readonly runs: RunBook,
    private readonly services: PartServices,
  ) {}

  /** @throws AppError `model_missing`, `not_found` for a run whose model is not on the disk. */
  async start({ subjects, ...request }: ContinuationRequest): Promise<JobSnapshot> {
    const { path } = await this.base.ready()
    await this.runs.refresh()
    const { memoryLimitBytes } = await this.services.settings()
    const spec: GenerateSpec = {
      kind: 'generate',
      models: [...new Set(subjects)].map((subject) =>
        subject === 'base' ? path : this.runs.modelOf(subject),
      ),
      ...request,
      ...(memoryLimitBytes === null ? {} : { memoryBytes: memoryLimitBytes }),
    }
    return this.services.jobs.start(spec, { owner: { project: this.record.id } })
  }
}
