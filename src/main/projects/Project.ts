import { AppError } from '@shared/errors'
import { modelNameOf } from '@shared/hub'
import {
  DEFAULT_DRAFT,
  type Comparison,
  type ProjectId,
  type ProjectPatch,
  type ProjectView,
  type Relocation,
} from '@shared/projects'
import { defaultHoldout } from '@shared/holdout'
import { presetFor, PRESET_SETTINGS } from '@shared/predictorSettings'
import { BaseModel } from './BaseModel'
import { Comparisons } from './Comparisons'
import { compareRuns } from './compare'
import { Continuations } from './Continuations'
import { Descents } from './Descents'
import { Exports } from './Exports'
import { storedModelPath } from './modelPath'
import { Places } from './Places'
import { ProjectRecord, readProjectFile } from './ProjectRecord'
import { RunBook } from './RunBook'
import { SCHEMA_VERSION, type ProjectFile } from './schemas'
import type { PartServices } from './services'
import { Texts } from './Texts'
import { Trainings } from './Trainings'

export interface ProjectServices extends PartServices {
  /** Something that the window shows has changed. */
  readonly onChange: (project: Project) => void
}

/** An open project: its folder, its parts, and what a window sees of them. */
export class Project {
  readonly base: BaseModel
  readonly runs: RunBook
  readonly texts: Texts
  readonly trainings: Trainings
  readonly descents: Descents
  readonly continuations: Continuations
  readonly comparisons: Comparisons
  readonly exports: Exports
  readonly places: Places
  readonly #record: ProjectRecord

  private constructor(
    /** Absolute, links resolved. */
    readonly folder: string,
    file: ProjectFile,
    private readonly services: ProjectServices,
  ) {
    const record = new ProjectRecord(folder, file, () => {
      services.onChange(this)
      this.comparisons.advance()
    })
    this.#record = record
    this.base = new BaseModel(record, services.engine)
    this.runs = new RunBook(record, this.base, services)
    this.texts = new Texts(record, this.base, this.runs, services)
    this.trainings = new Trainings(record, this.base, this.runs, services)
    this.descents = new Descents(record, this.runs, services)
    this.continuations = new Continuations(record, this.base, this.runs, services)
    this.comparisons = new Comparisons(
      record,
      this.base,
      { runs: this.runs, texts: this.texts, trainings: this.trainings },
      services,
    )
    this.exports = new Exports(record, this.base, this.runs, services)
    this.places = new Places(record, this.base, services)
  }

  /**
   * Makes a project in an empty folder of its own.
   *
   * @throws AppError what opening the model throws, or writing the folder.
   */
  static async create(
    folder: string,
    options: { readonly name: string; readonly model: string },
    services: ProjectServices,
  ): Promise<Project> {
    const { digest, shape } = await services.engine.identify(options.model)
    const model = await services.engine.inspect(options.model)
    const preset = presetFor(model)
    const { device } = await services.settings()
    const project = new Project(
      folder,
      {
        schema_version: SCHEMA_VERSION,
        name: options.name,
        notes: '',
        createdAt: Date.now(),
        model: {
          path: storedModelPath(folder, options.model),
          name: modelNameOf(options.model),
          digest,
          shape,
        },
        draft: {
          ...DEFAULT_DRAFT,
          preset,
          predictor: PRESET_SETTINGS[preset],
          holdout: defaultHoldout(model.num_hidden_layers),
          device,
        },
        texts: [],
        perplexities: [],
        comparison: null,
        deleted: { runs: 0, trainings: 0 },
      },
      services,
    )
    await project.#record.write()
    await project.base.check()
    return project
  }

  /**
   * Opens a project's folder. A damaged project file is set aside and what can be is saved of it; runs that cannot be
   * read are reported.
   *
   * @throws AppError `not_found`, `unsupported_version`, or what the system says.
   */
  static async open(folder: string, services: ProjectServices): Promise<Project> {
    const { file, problem } = await readProjectFile(folder)
    const project = new Project(folder, file, services)
    if (problem) {
      project.#record.problems.push(problem)
      await project.#record.write()
    }
    await project.runs.load()
    await project.texts.load()
    await project.trainings.load()
    await project.comparisons.load()
    await project.base.check()
    return project
  }

  get id(): ProjectId {
    return this.#record.id
  }

  get name(): string {
    return this.#record.file.name
  }

  view(): ProjectView {
    const { name, notes, createdAt, draft } = this.#record.file
    return {
      id: this.id,
      path: this.folder,
      name,
      notes,
      createdAt,
      model: this.base.state,
      draft,
      texts: this.texts.list(),
      runs: this.runs.summaries(),
      perplexities: this.texts.perplexities(),
      trainings: this.trainings.summaries(),
      comparison: this.comparisons.current(),
      workBytes: this.runs.workBytes + this.trainings.workBytes,
      problems: [...this.#record.problems],
    }
  }

  async update(patch: ProjectPatch): Promise<void> {
    const { notes = this.#record.file.notes, draft = this.#record.file.draft } = patch
    await this.#record.change({ notes, draft })
  }

  rename(name: string): Promise<void> {
    return this.#record.change({ name })
  }

  /** Takes the model from another place. @throws AppError what opening it throws. */
  async relocateModel(path: string, acceptDifferent: boolean): Promise<Relocation> {
    const refused = await this.base.relocate(path, acceptDifferent, this.runs.layersBefore)
    return refused ?? { outcome: 'relocated', project: this.view() }
  }

  compare(subjects: readonly string[] | undefined): Comparison {
    const isWanted = (subject: string): boolean =>
      subjects === undefined || subjects.includes(subject)
    const model = this.base.state
    return compareRuns({
      baseName: model.name,
      base: isWanted('base') && 'summary' in model ? model.summary : null,
      runs: this.runs.summaries().filter(({ id }) => isWanted(id)),
      perplexities: this.texts.perplexities(),
      texts: this.texts.list(),
    })
  }

  /** Whether a run, a training, an evaluation or an export of it waits or runs. */
  get isBusy(): boolean {
    return this.services.jobs
      .list()
      .some(({ owner, endedAt }) => owner?.project === this.id && endedAt === undefined)
  }

  refuseBusy(): void {
    if (!this.isBusy) return
    throw new AppError('bad_request', `A job of ${this.name} waits or runs.`, {
      hint: 'Cancel it, or wait until it has ended.',
    })
  }

  /** @throws AppError `bad_request` while a job of the project is open. */
  async clearWork(): Promise<void> {
    this.refuseBusy()
    await this.runs.clearWork()
    await this.trainings.clearWork()
  }

  /** Resolves when everything is on the disk. */
  async settle(): Promise<void> {
    await this.comparisons.settle()
    // A training that has ended makes runs.
    await this.trainings.settle()
    await this.runs.settle()
    await this.#record.settle()
  }
}
