import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import type { ExportOptions } from '@shared/exports'
import type { ExportSpec, JobSnapshot, PerplexityResult } from '@shared/jobs'
import { harmOf, refuseHarm, type Kept } from '@system/harm'
import type { BaseModel } from './BaseModel'
import type { ProjectRecord } from './ProjectRecord'
import type { RunBook } from './RunBook'
import type { PartServices } from './services'

/** What leaves a project: grown checkpoints that are written elsewhere. */
export class Exports {
  constructor(
    private readonly record: ProjectRecord,
    private readonly base: BaseModel,
    private readonly runs: RunBook,
    private readonly services: PartServices,
  ) {}

  /** The job that an export would be. @throws AppError `not_found` when the grown checkpoint is not there. */
  specFor(id: string, options: ExportOptions): ExportSpec {
    const run = this.runs.get(id)
    const model = this.runs.modelOf(id)
    const { result, layersBefore, layersAfter } = run.file
    if (!result) throw new AppError('not_found', `${run.name} has no result.`)
    const { path, name } = this.base.state
    return {
      kind: 'export',
      model,
      base: path,
      ...options,
      grown: { spec: this.runs.specOf(run), result },
      perplexities: this.record.file.perplexities
        .filter(({ subject }) => subject === 'base' || subject === id)
        .map((each): PerplexityResult => ({
          model: each.subject === 'base' ? name : basename(options.out),
          perplexity: each.perplexity ?? Infinity,
          tokens: each.tokens,
          predicted: each.predicted,
          standardError: each.standardError,
          context: each.context,
          num_hidden_layers: each.subject === 'base' ? layersBefore : layersAfter,
          seconds: each.seconds,
        })),
    }
  }

  /** Why an export must not go there: the project would be taken along. `null` when it may. */
  refusal(out: string): string | null {
    return harmOf(out, this.#kept)
  }

  /** @throws AppError `path_denied` as {@link refusal} says, `not_found`. */
  start(id: string, options: ExportOptions): JobSnapshot {
    refuseHarm(options.out, this.#kept)
    const spec = this.specFor(id, options)
    const run = this.runs.get(id)
    return this.services.jobs.start(spec, {
      owner: { project: this.record.id, run: id },
      observer: {
        onState: ({ result }) => {
          if (result?.kind !== 'export') return
          const { out, bytes, checks } = result
          void run
            .addExport({ out, bytes, checks, dtype: spec.dtype, at: Date.now() })
            .then(() => this.record.changed())
            .catch((error: unknown) => this.record.report(error))
        },
      },
    })
  }

  get #kept(): Kept[] {
    return [{ path: this.record.folder, what: 'the project' }]
  }
}
