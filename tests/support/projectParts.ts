import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { AppError } from '@shared/errors'
import type {
  ExpandResult,
  JobEvent,
  JobResult,
  JobSnapshot,
  JobSpec,
  PretrainResult,
  PretrainSpec,
} from '@shared/jobs'
import type { ModelSummary } from '@shared/model'
import type { PretrainedModel, TrainingRecord } from '@shared/pretraining'
import { DEFAULT_DRAFT, runSettingsOf, type RunSettings } from '@shared/projects'
import { DEFAULT_SETTINGS } from '@shared/settings'
import type { JobExtras } from '../../src/main/jobs/JobManager'
import { BaseModel } from '../../src/main/projects/BaseModel'
import { Comparisons } from '../../src/main/projects/Comparisons'
import { Descents } from '../../src/main/projects/Descents'
import { Exports } from '../../src/main/projects/Exports'
import { runPaths } from '../../src/main/projects/layout'
import { storedModelPath } from '../../src/main/projects/modelPath'
import { ProjectRecord } from '../../src/main/projects/ProjectRecord'
import { RunBook } from '../../src/main/projects/RunBook'
import type { ProjectFile } from '../../src/main/projects/schemas'
import type { PartServices } from '../../src/main/projects/services'
import { Texts } from '../../src/main/projects/Texts'
import { Trainings } from '../../src/main/projects/Trainings'
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
      cancel: (id) => this.endJob(id, 'cancelled'),
    },
    settings: () => Promise.resolve(this.settings),
  }

  put(path: string, identity = identityOf('a'), changes: Partial<ModelSummary> = {}): void {
    this.models.set(path, { summary: modelSummary({ path, ...changes }), ...identity })
  }

  /** Ends the latest job. */
  end(state: JobSnapshot['state'], result?: JobResult, tookMs = 1): void {
    this.endJob(this.jobs.at(-1)?.snapshot.id ?? '', state, result, tookMs)
  }

  endJob(id: string, state: JobSnapshot['state'], result?: JobResult, tookMs = 1): JobSnapshot {
    const job = this.jobs.find(({ snapshot }) => snapshot.id === id)
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
    return job.snapshot
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
  let comparisons: Comparisons | null = null
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
      comparison: null,
      deleted: { runs: 0, trainings: 0 },
      ...changes,
    },
    () => {
      told.changed += 1
      comparisons?.advance()
    },
  )
  const { services } = program
  const base = new BaseModel(record, services.engine)
  const runs = new RunBook(record, base, services)
  const texts = new Texts(record, base, runs, services)
  const trainings = new Trainings(record, base, runs, services)
  comparisons = new Comparisons(record, base, { runs, texts, trainings }, services)
  const exports = new Exports(record, base, runs, services)
  const descents = new Descents(record, runs, services)
  await base.check()
  const settle = async () => {
    await comparisons?.settle()
    await trainings.settle()
    await runs.settle()
    await record.settle()
  }
  // Nothing is written any more when the folder is removed.
  onTestFinished(settle)
  return {
    home,
    folder,
    model,
    program,
    told,
    record,
    base,
    runs,
    texts,
    trainings,
    comparisons,
    exports,
    descents,
    settle,
  }
}

/** What a training of one step says of itself, in its checkpoint. */
export const TRAINING_RECORD = {
  steps: 1,
  tokens: 64,
  context: 32,
  batch: 2,
  lr: 0.0002,
  output_lr_factor: 1,
  schedule: 'wsd',
  warmup: 0,
  weight_decay: 0.01,
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  clip: 1,
  trained_layers: [9],
  trained_parts: 'all',
  order: 'shuffled',
  seed: 0,
  texts: [{ name: 'a.txt', bytes: 3, documents: 1, tokens: 64 }],
  loss: { first: 4, last: 3 },
  eval: { text: 'a.txt', tokens: 31, first: 4, last: 3.5 },
  forgetting: null,
  device: 'cpu',
} satisfies TrainingRecord

/** What the job of a training says, with a checkpoint of a kind in the place of each model. */
export async function train(spec: PretrainSpec): Promise<PretrainResult> {
  const isRace = spec.models.length > 1
  const results = spec.models.map(({ path, name }): PretrainedModel => ({
    model: path,
    name,
    out: isRace ? join(spec.out, name) : spec.out,
    seed: 0,
    loss: [[1, 4]],
    eval: [
      [0, 4],
      [1, 3.5],
    ],
    forgetting: [],
    gradient_norm: [[1, 2]],
    elapsed: [[1, 0.5]],
    steps: 1,
    tokens: 64,
    lr: 0.0002,
    trained_layers: [9],
    trained_parameters: 10,
    seconds: 0.5,
    steps_to_reach: {},
    diverged: null,
    repeats: [],
    trials: [],
  }))
  for (const { out } of results) {
    if (out === null) continue
    await mkdir(out, { recursive: true })
    await writeFile(join(out, 'lesa.json'), JSON.stringify({ training: [TRAINING_RECORD] }))
    await writeFile(join(out, 'model.safetensors'), 'trained')
    await writeFile(join(out, 'config.json'), '{}')
  }
  return {
    kind: 'pretrain',
    results,
    base: { eval: 3, forgetting: null },
    eval_tokens: 31,
    tokens_per_step: 64,
    device: { device: 'cpu', reason: 'asked for' },
    seconds: 2,
    trial_seconds: 0,
    warnings: [],
  }
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
