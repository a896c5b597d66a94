import { basename } from 'node:path'
import { AppError } from '@shared/errors'
import type { ExportOptions, Publishable } from '@shared/exports'
import type { ExportSpec, JobSnapshot, PublishedPerplexity } from '@shared/jobs'
import { perplexityCaution } from '@shared/perplexity'
import type { Perplexity } from '@shared/projects'
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
    if (run.file.elsewhere) {
      throw new AppError('bad_request', `${run.name} lies in a folder of its own already.`, {
        hint: 'Copy the folder that the training wrote.',
        context: { file: model },
      })
    }
    const { measurements, ...written } = options
    const chosen = measurements && new Set(measurements)
    const shown = this.publishable(id).filter((each) =>
      chosen ? chosen.has(each.id) : each.isPublished,
    )
    const idsShown = new Set(shown.map((each) => each.id))
    return {
      kind: 'export',
      model,
      base: this.base.state.path,
      ...written,
      grown: { spec: this.runs.specOf(run), result },
      perplexities: this.#measured(id)
        .filter((each) => idsShown.has(idOf(each)))
        .map((each): PublishedPerplexity => ({
          model: each.subject === 'base' ? this.base.state.name : basename(options.out),
          text: this.#nameOf(each.text),
          perLine: each.perLine,
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

  /** What was measured of the base and of a run, and whether the card shows it unless somebody chooses. */
  publishable(id: string): Publishable[] {
    const { state } = this.base
    const vocabulary = 'summary' in state ? state.summary.vocab_size : null
    return this.#measured(id).map((each) => ({
      id: idOf(each),
      model: each.subject === 'base' ? state.name : this.runs.get(id).name,
      text: this.#nameOf(each.text),
      context: each.context,
      perLine: each.perLine,
      perplexity: each.perplexity,
      standardError: each.standardError,
      tokens: each.tokens,
      isPublished: perplexityCaution(each, vocabulary) === null,
    }))
  }

  #measured(id: string): Perplexity[] {
    return this.record.file.perplexities.filter(
      ({ subject }) => subject === 'base' || subject === id,
    )
  }

  #nameOf(text: string): string {
    return this.record.file.texts.find((each) => each.id === text)?.name ?? 'a text'
  }

  /** A place that a run was exported to. @throws AppError `path_denied` for any other. */
  placeOf(id: string, path: string): string {
    const { exports } = this.runs.get(id).file
    if (exports.some(({ out }) => out === path)) return path
    throw new AppError('path_denied', `Nothing of this run was exported to ${path}.`, {
      context: { file: path },
    })
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

function idOf({ subject, text, context, perLine }: Perplexity): string {
  return [subject, text, context, perLine ? 'lines' : 'whole'].join(' ')
}
