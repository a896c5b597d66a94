import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { ExpandResult, JobEvent, JobResult, JobSnapshot, JobSpec } from '@shared/jobs'
import type { ModelSummary } from '@shared/model'
import { DEFAULT_DRAFT, runSettingsOf, type RunSettings } from '@shared/projects'
import { DEFAULT_SETTINGS } from '@shared/settings'
import type { JobExtras } from '../../src/main/jobs/JobManager'
import { BaseModel } from '../../src/main/projects/BaseModel'
import { Exports } from '../../src/main/projects/Exports'
import { runPaths } from '../../src/main/projects/layout'
import { storedModelPath } from '../../src/main/projects/modelPath'
import { ProjectRecord } from '../../src/main/projects/ProjectRecord'
import { RunBook } from '../../src/main/projects/RunBook'
import type { ProjectFile } from '../../src/main/projects/schemas'
import type { PartServices } from '../../src/main/projects/services'
import { Texts } from '../../src/main/projects/Texts'
import { modelSummary } from './summaries'
import { tempFolder } from './tempFolder'

/** Digests of a model's weights and shape, told apart by a digit. */
export const identityOf = (weights: string, shape = '0'): { digest: string; shape: string } => ({
  digest: weights.repeat(64),
  shape: shape.repeat(64),
})

/** An engine that knows the models it was told of, and a queue whose jobs end when a test says so. */
export class FakeProgram {
  /** What is at a path, with its digests. */
  readonly models = new Map<string, { summary: ModelSummary; digest: string; shape: string }>()
  readonly jobs: { snapshot: JobSnapshot; extras: JobExtras }[] = []
  settings = DEFAULT_SETTINGS

  readonly services: PartServices = {
    engine: {
      inspect: (path) => Promise.resolve(this.#model(path)).then(({ summary }) => summary),
      identify: (path) =>
        Promise.resolve(this.#model(path)).then(({ digest, shape }) => ({ digest, shape })),
      versions: () => Promise.resolve({ engine: '1', onnxruntime: '2', node: '3' }),
    },
    jobs: {
      list: () => this.jobs.map(({ snapshot }) => snapshot),
      start: (spec, extras = {}) => this.#start(spec, extras),
    },
    settings: () => Promise.resolve(this.settings),
  }

  put(path: string, identity = identityOf('a'), changes: Partial<ModelSummary> = {}): void {
    this.models.set(path, { summary: modelSummary({ path, ...changes }), ...identity })
  }

  /** Ends the latest job. */
  end(state: JobSnapshot['state'], result?: JobResult, tookMs = 1): void {
    const job = this.jobs.at(-1)
    if (!job) throw new Error('no job was started')
    const { seq } = job.snapshot
    job.snapshot = {
      ...job.snapshot,
      state,
      seq: seq + 1,
      startedAt: 1,
      endedAt: 1 + tookMs,
      ...(result ? { result } : {}),
    }
    job.extras.observer?.onState?.(job.snapshot)
  }

  /** Lets the latest job say something. */
  tell(event: JobEvent): void {
    this.jobs.at(-1)?.extras.observer?.onEvent?.(event)
  }

  #model(path: string): { summary: ModelSummary; digest: string; shape: string } {
    const found = this.models.get(path)
    if (found) return found
    throw new AppError('not_found', `${path} does not exist.`)
  }

  #start(spec: JobSpec, extras: JobExtras): JobSnapshot {
    const snapshot: JobSnapshot = {
      id: `job-${this.jobs.length + 1}`,
      spec,
      ...(extras.owner ? { owner: extras.owner } : {}),
      state: 'queued',
      seq: 0,
      createdAt: 0,
      steps: [],
      progress: 0,
      series: {},
      log: [],
    }
    this.jobs.push({ snapshot, extras })
    extras.observer?.onState?.(snapshot)
    return snapshot
  }
}

/** A project's parts over a model beside it, none of them loaded; `changed` counts what a window was told. */
export async function projectParts(changes: Partial<ProjectFile> = {}) {
  const home = await tempFolder()
  const folder = join(home, 'project')
  const model = join(home, 'base')
  await mkdir(folder)
  const program = new FakeProgram()
  program.put(model)
  const told = { changed: 0 }
  const record = new ProjectRecord(
    folder,
    {
      schema_version: 1,
      name: 'Mine',
      notes: '',
      createdAt: 0,
      model: { path: storedModelPath(folder, model), name: 'base', ...identityOf('a') },
      draft: DEFAULT_DRAFT,
      texts: [],
      perplexities: [],
      ...changes,
    },
    () => (told.changed += 1),
  )
  const { services } = program
  const base = new BaseModel(record, services.engine)
  const runs = new RunBook(record, base, services)
  const texts = new Texts(record, base, runs, services)
  const exports = new Exports(record, base, runs, services)
  await base.check()
  const settle = () => runs.settle().then(() => record.settle())
  return { home, folder, model, program, told, record, base, runs, texts, exports, settle }
}

/** The quickest to plan: nothing is trained. */
export const solar: RunSettings = { ...runSettingsOf(DEFAULT_DRAFT), method: { name: 'solar' } }

/** What a run of {@link solar} says it made, with a checkpoint of a kind in its place. */
export async function grow(run: string): Promise<ExpandResult> {
  const out = runPaths.model(run)
  await mkdir(out, { recursive: true })
  await writeFile(join(out, 'config.json'), '{}')
  return {
    kind: 'expand',
    out,
    method: 'solar',
    num_hidden_layers: 18,
    new_layers: [9, 10, 11, 12, 13, 14],
    parameters: 10,
    bytes: 20,
    shards: 1,
    device: null,
    seed: 0,
    seconds: 1,
    predictors: [],
    warnings: [],
  }
}
