import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { readDescent } from '@shared/descent'
import { isSameGrowth } from '@shared/growthIdentity'
import { modelNameOf } from '@shared/hub'
import { isOver, type DescentResult, type JobSnapshot } from '@shared/jobs'
import type { TrainedCheckpoint, TrainedMatch } from '@shared/projects'
import { boundedRead } from '@system/boundedRead'
import { modelFolderOf } from '@system/hubCache'
import { isWithin } from '@system/paths'
import { z } from 'zod'
import { runPaths } from './layout'
import { storedModelPath } from './modelPath'
import type { ProjectRecord } from './ProjectRecord'
import type { Run } from './Run'
import type { RunBook } from './RunBook'
import { descentFileSchema, SCHEMA_VERSION } from './schemas'
import type { PartServices } from './services'
import { sizeOf } from './trainedRun'

const MAX_RECORD_BYTES = 64e6

const lesaSchema = z.looseObject({
  training: z.array(z.looseObject({ steps: z.int().nonnegative() })).default([]),
})

/** Checkpoints that were trained elsewhere: from the question where they come from to the runs that they become. */
export class Descents {
  constructor(
    private readonly record: ProjectRecord,
    private readonly runs: RunBook,
    private readonly services: PartServices,
  ) {}

  /** Which runs a checkpoint can have come from. @throws AppError what opening it throws. */
  async match(given: string): Promise<TrainedMatch> {
    const path = await modelFolderOf(given)
    const { num_hidden_layers: layers } = await this.services.engine.inspect(path)
    const runs = this.runs
      .summaries()
      .filter(
        ({ layersAfter, model, elsewhere, isOfThisModel }) =>
          layersAfter === layers && model !== null && elsewhere === null && isOfThisModel,
      )
    const own = await readLesa(path)
    let named: string | undefined
    for (const run of own ? runs : []) {
      const other = run.model && (await readLesa(run.model.path))
      if (!own || !other || !isSameGrowth(own, other)) continue
      // What was trained here since is nearer to it than what was only grown.
      const isNearer = own.training.length >= other.training.length && other.training.length > 0
      if (named === undefined || isNearer) named = run.id
    }
    const [only, ...others] = runs
    return {
      path,
      layers,
      runs: runs.map(({ id }) => id),
      best: named ?? (others.length === 0 ? (only?.id ?? null) : null),
    }
  }

  /**
   * Queues the comparison with the run; when it has succeeded the checkpoint is a run of its own.
   *
   * @throws AppError `not_found` for a run without a model, `bad_request` for one of another base, a folder of the project,
   *   or a checkpoint that stands in it already; what opening the checkpoint throws.
   */
  async start({ path: given, run: id }: TrainedCheckpoint): Promise<JobSnapshot> {
    const path = await modelFolderOf(given)
    await this.runs.refresh()
    const start = this.runs.modelOf(id)
    const run = this.runs.get(id)
    this.#refuse(path, run)
    // An unreadable folder is said at once.
    await this.services.engine.inspect(path)
    return this.services.jobs.start(
      { kind: 'descent', trained: path, start },
      {
        owner: { project: this.record.id, name: run.name },
        observer: {
          onState: (snapshot) => {
            if (!isOver(snapshot) || snapshot.result?.kind !== 'descent') return
            this.#add(path, run, snapshot.result).catch((error: unknown) =>
              this.record.report(error),
            )
          },
        },
      },
    )
  }

  /** What the training of a run changed. @throws AppError `not_found`, `damaged_file`. */
  async get(id: string): Promise<DescentResult> {
    const file = runPaths.descent(this.runs.get(id).folder)
    const bytes = await boundedRead(file, MAX_RECORD_BYTES, 'damaged_file')
    try {
      return descentFileSchema.parse(JSON.parse(new TextDecoder().decode(bytes)))
    } catch (cause) {
      throw new AppError('damaged_file', `${file} does not say what was changed.`, {
        hint: 'Remove the run, and add the checkpoint again.',
        context: { file },
        cause,
      })
    }
  }

  #refuse(path: string, { id, name }: Run): void {
    if (!this.runs.summary(id).isOfThisModel) {
      throw new AppError('bad_request', `${name} was grown from another base model.`, {
        context: { field: 'run', actual: id },
      })
    }
    if (isWithin(path, this.record.folder)) {
      throw new AppError('bad_request', `${path} is a part of this project.`, {
        hint: 'Choose the folder that the training wrote.',
        context: { file: path },
      })
    }
    const known = this.runs
      .summaries()
      .find(({ elsewhere }) => elsewhere?.path === path && elsewhere.state === 'ready')
    if (known) {
      throw new AppError('bad_request', `${path} stands in this project already: ${known.name}.`, {
        context: { file: path, actual: known.id },
      })
    }
  }

  async #add(path: string, start: Run, descent: DescentResult): Promise<void> {
    const { digest } = await this.services.engine.identify(path)
    const lesa = await readLesa(path)
    const { file } = start
    if (!file.result) throw new AppError('not_found', `${start.name} has no result.`)
    const now = Date.now()
    const steps = lesa?.training.reduce((sum, each) => sum + each.steps, 0) ?? 0
    await this.runs.addElsewhere(
      {
        schema_version: SCHEMA_VERSION,
        name: this.runs.unusedName(`${start.name.slice(0, 50)}, ${modelNameOf(path).slice(0, 46)}`),
        state: 'succeeded',
        createdAt: now,
        startedAt: now,
        endedAt: now,
        attempts: 1,
        earlierMs: 0,
        settings: file.settings,
        base: file.base,
        layersBefore: file.layersBefore,
        layersAfter: file.layersAfter,
        newLayers: file.newLayers,
        versions: await this.services.engine.versions(),
        device: null,
        timings: [{ id: 'compare', label: 'compare weights', seconds: descent.seconds }],
        // How it was grown, with the size of what there is now.
        result: {
          ...file.result,
          seconds: file.result.seconds + file.earlierMs / 1000,
          ...(await sizeOf(path)),
        },
        error: null,
        exports: [],
        training: null,
        elsewhere: {
          path: storedModelPath(this.record.folder, path),
          digest,
          run: start.id,
          runName: start.name,
          isTouched: readDescent(descent).isTouched,
          steps: steps === 0 ? null : steps,
        },
      },
      descent,
    )
  }
}

/** What a checkpoint's own `lesa.json` says; `null` where it has none that can be read. */
async function readLesa(folder: string): Promise<z.infer<typeof lesaSchema> | null> {
  try {
    const bytes = await boundedRead(join(folder, 'lesa.json'), MAX_RECORD_BYTES, 'damaged_file')
    return lesaSchema.parse(JSON.parse(new TextDecoder().decode(bytes)))
  } catch {
    return null
  }
}
