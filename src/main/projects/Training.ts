import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isOpen, isStopped, type JobSnapshot, type PretrainResult } from '@shared/jobs'
import type { Curve, TrainingCurves } from '@shared/pretraining'
import type { RunId } from '@shared/projects'
import type { CurveEnds, CurvesEnds, TrainingSettings, TrainingSummary } from '@shared/trainings'
import { exists, removeFolder, writeJsonAtomic } from '@system/files'
import { clearLeftovers } from '@system/outputs'
import { JobRecord, readRecord, type LoadedFile, type RecordListener } from './JobRecord'
import { trainingPaths } from './layout'
import { SCHEMA_VERSION, trainingFileSchema, type ProjectFile, type TrainingFile } from './schemas'
import { folderBytes } from './work'

/** What became of reading a training's folder. */
export type LoadedTraining =
  | { readonly state: 'ok'; readonly training: Training }
  | Extract<LoadedFile<TrainingFile>, { state: 'unreadable' }>

export type TrainingListener = RecordListener<Training>

/** What a training's summary tells of runs. */
export interface RunsOfTraining {
  /** Name and state now; `null` for one that was deleted. */
  readonly run: (id: RunId) => { readonly name: string; readonly isOpen: boolean } | null
  /** The run that a training has made of another run, if it is still there. */
  readonly trained: (training: string, run: RunId) => RunId | null
}

/** A training in its folder: settings, state, timings, curves, log, and what it can go on from. */
export class Training extends JobRecord<TrainingFile> {
  #hasWork = false
  #workBytes = 0

  private constructor(
    folder: string,
    file: TrainingFile,
    protected override readonly listener: TrainingListener,
  ) {
    super(folder, file, trainingPaths.file(folder), listener)
  }

  /** Writes a new training's record into its folder. @throws AppError when it cannot be written. */
  static async create(
    folder: string,
    options: Pick<TrainingFile, 'name' | 'settings' | 'starts' | 'base'>,
    listener: TrainingListener,
  ): Promise<Training> {
    const training = new Training(
      folder,
      {
        schema_version: SCHEMA_VERSION,
        id: basename(folder),
        state: 'queued',
        createdAt: Date.now(),
        startedAt: null,
        endedAt: null,
        attempts: 0,
        earlierMs: 0,
        versions: null,
        device: null,
        timings: [],
        result: null,
        error: null,
        ...options,
      },
      listener,
    )
    await mkdir(folder, { recursive: true })
    await training.write()
    return training
  }

  /** Reads a training's folder; one whose job was open when the program ended is `interrupted` from now on. */
  static async load(folder: string, listener: TrainingListener): Promise<LoadedTraining> {
    const loaded = await readRecord(trainingPaths.file(folder), trainingFileSchema, 'training')
    if (loaded.state !== 'ok') return loaded
    const training = new Training(folder, { ...loaded.file, id: basename(folder) }, listener)
    if (isOpen(training.file.state)) {
      await training.noteInterrupted()
      await clearLeftovers(training.out)
      await training.write()
    }
    await training.look()
    return { state: 'ok', training }
  }

  /** Where its job writes: a checkpoint, or a folder of several. */
  get out(): string {
    const models = trainingPaths.models(this.folder)
    const [run = '', ...others] = this.file.settings.runs
    return others.length > 0 ? models : join(models, run)
  }

  /** Bytes of what it can go on from. */
  get workBytes(): number {
    return this.#workBytes
  }

  summary(model: ProjectFile['model'], { run: runOf, trained }: RunsOfTraining): TrainingSummary {
    const { file } = this
    return {
      ...this.told(),
      settings: file.settings,
      starts: file.starts.map(({ run, name, method }) => {
        const found = runOf(run)
        return { run, name: found?.name ?? name, method, exists: found !== null }
      }),
      waitsFor:
        file.state === 'queued' ? file.settings.runs.filter((run) => runOf(run)?.isOpen) : [],
      result: file.result && {
        ...file.result,
        starts: file.result.starts.map(({ out: _, ...start }) => ({
          ...start,
          trained: trained(file.id, start.run),
        })),
      },
      canResume: isStopped(file.state) && this.#hasWork,
      workBytes: this.#workBytes,
      isOfThisModel: model.digest === null || file.base.digest === model.digest,
    }
  }

  /** Removes all that it could go on from. */
  async clear(): Promise<void> {
    for (const part of ['work', 'texts', 'models', 'runs'] as const) {
      await removeFolder(trainingPaths[part](this.folder))
    }
    await this.look()
  }

  protected override resultOf({ result }: JobSnapshot): TrainingFile['result'] {
    return result?.kind === 'pretrain' ? summarise(result, this.file.settings) : null
  }

  protected override async tidy({ result }: JobSnapshot): Promise<void> {
    if (result?.kind === 'pretrain') {
      await writeJsonAtomic(trainingPaths.result(this.folder), result)
    }
  }

  protected override async look(): Promise<void> {
    const { work, models } = trainingPaths
    this.#hasWork = await exists(work(this.folder))
    this.#workBytes =
      (await folderBytes(work(this.folder))) + (await folderBytes(models(this.folder)))
  }

  protected override tellEnd(): Promise<void> | void {
    return this.listener.onEnd(this)
  }
}

/** What of a job's result a summary tells. Its models' names are the runs'. */
function summarise(result: PretrainResult, { runs }: TrainingSettings): TrainingFile['result'] {
  const { base, eval_tokens, tokens_per_step, seconds, trial_seconds, warnings } = result
  return {
    base: base && { eval: finite(base.eval), forgetting: finite(base.forgetting) },
    eval_tokens,
    tokens_per_step,
    seconds,
    trial_seconds,
    warnings: [...warnings],
    starts: result.results.map((trained, index) => ({
      run: runs[index] ?? trained.name,
      out: trained.out,
      ...curvesEnds(trained),
      steps: trained.steps,
      tokens: trained.tokens,
      lr: trained.lr,
      trained_layers: [...trained.trained_layers],
      trained_parameters: trained.trained_parameters,
      seconds: trained.seconds,
      steps_to_reach: { ...trained.steps_to_reach },
      diverged: trained.diverged && { ...trained.diverged, loss: finite(trained.diverged.loss) },
      repeats: trained.repeats.map(curvesEnds),
      trials: trained.trials.map((trial) => ({ ...trial, loss: finite(trial.loss) })),
    })),
  }
}

function curvesEnds(curves: TrainingCurves): CurvesEnds {
  const { seed, loss, eval: measured, forgetting } = curves
  return { seed, loss: endsOf(loss), eval: endsOf(measured), forgetting: endsOf(forgetting) }
}

function endsOf(curve: Curve): CurveEnds | null {
  const [first, last] = [curve[0]?.[1], curve.at(-1)?.[1]].map((value) => finite(value ?? null))
  return first == null || last == null ? null : { first, last }
}

/** JSON knows no other number. */
function finite(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null
}
