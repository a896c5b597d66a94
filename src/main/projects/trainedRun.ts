/** @file From a checkpoint that a training has left to the folder of a run. */
import { cp, mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import type { TrainingRecord } from '@shared/pretraining'
import { trainingRecordSchema } from '@shared/trainingRecord'
import { formatCount } from '@shared/units'
import { boundedRead } from '@system/boundedRead'
import { exists, renameRetrying, writeJsonAtomic } from '@system/files'
import { z } from 'zod'
import { runPaths, trainingPaths } from './layout'
import type { Run } from './Run'
import { SCHEMA_VERSION, type RunFile } from './schemas'
import type { Training } from './Training'

const MAX_RECORD_BYTES = 64e6

const describedSchema = z.object({ training: z.array(trainingRecordSchema).min(1) })

/**
 * Makes the folder of a run of a trained checkpoint, which is moved there. What was begun before the program ended is gone
 * on with.
 *
 * @param options.run What was trained.
 * @param options.seconds For how long.
 * @param options.from That run, asked for only where it is needed.
 * @param options.nameOf Of the new run, from what it should be called.
 * @returns Where the folder is until it is moved among the runs; `null` when there is nothing left to make a run of.
 * @throws AppError `not_found` when the run is not there any more, `damaged_file` for a checkpoint that tells no training.
 */
export async function prepareTrainedRun(
  training: Training,
  options: {
    readonly run: string
    readonly checkpoint: string
    readonly seconds: number
    readonly from: () => Run
    readonly nameOf: (wanted: string) => string
  },
): Promise<{ readonly folder: string; readonly method: string } | null> {
  const { run, checkpoint, seconds, nameOf } = options
  const folder = join(trainingPaths.runs(training.folder), run)
  const method = run.replace(/^\d+-/, '')
  // The checkpoint comes last: where it is, all else is.
  if (await exists(join(runPaths.model(folder), 'config.json'))) return { folder, method }
  if (!(await exists(join(checkpoint, 'config.json')))) return null
  const from = options.from()
  await mkdir(folder, { recursive: true })
  const records = await readTrainings(checkpoint)
  const steps = records.at(-1)?.steps ?? 0
  const file = await runFileOf(training, { from, records, seconds, checkpoint })
  await writeJsonAtomic(runPaths.file(folder), {
    ...file,
    name: nameOf(
      `${from.name.slice(0, 70)}, ${formatCount(steps)} ${steps === 1 ? 'step' : 'steps'}`,
    ),
  })
  await keepPictures(from.folder, folder)
  await renameRetrying(checkpoint, runPaths.model(folder))
  return { folder, method }
}

/** Spectra and directions are those of the layers that were there before; the others are measured anew. */
export async function keepPictures(from: string, to: string): Promise<void> {
  const { analysis, directions, earlierAnalysis } = runPaths
  if (!(await exists(analysis(from)))) return
  await cp(analysis(from), earlierAnalysis(to))
  if (await exists(directions(from))) {
    await cp(directions(from), directions(to), { recursive: true })
  }
}

async function runFileOf(
  training: Training,
  made: {
    readonly from: Run
    readonly records: readonly TrainingRecord[]
    readonly seconds: number
    readonly checkpoint: string
  },
): Promise<RunFile> {
  const { from, records, seconds, checkpoint } = made
  const { result } = from.file
  if (!result) throw new AppError('not_found', `${from.name} has no result.`)
  const { versions, device, endedAt } = training.file
  const end = endedAt ?? Date.now()
  return {
    schema_version: SCHEMA_VERSION,
    id: from.id,
    name: from.name,
    state: 'succeeded',
    createdAt: end,
    startedAt: Math.max(0, end - seconds * 1000),
    endedAt: end,
    attempts: 1,
    earlierMs: 0,
    settings: from.file.settings,
    base: from.file.base,
    layersBefore: from.file.layersBefore,
    layersAfter: from.file.layersAfter,
    newLayers: from.file.newLayers,
    versions,
    device,
    timings: [{ id: 'train', label: 'train new layers', seconds }],
    // How it was grown, which the model card tells too, with the size of what there is now.
    result: {
      ...result,
      seconds: result.seconds + from.file.earlierMs / 1000,
      ...(await sizeOf(checkpoint)),
    },
    error: null,
    exports: [],
    elsewhere: null,
    training: {
      training: training.id,
      trainingName: training.name,
      run: from.id,
      runName: from.name,
      records: [...records],
      seconds: seconds + (from.file.training?.seconds ?? 0),
    },
  }
}

/** What a trained checkpoint says of its trainings. @throws AppError `damaged_file` */
async function readTrainings(checkpoint: string): Promise<TrainingRecord[]> {
  const file = join(checkpoint, 'lesa.json')
  const bytes = await boundedRead(file, MAX_RECORD_BYTES, 'damaged_file')
  try {
    return describedSchema.parse(JSON.parse(new TextDecoder().decode(bytes))).training
  } catch (cause) {
    throw new AppError('damaged_file', `${file} does not tell how the model was trained.`, {
      context: { file, field: 'training' },
      cause,
    })
  }
}

export async function sizeOf(checkpoint: string): Promise<{ bytes: number; shards: number }> {
  const shards = (await readdir(checkpoint)).filter((name) => name.endsWith('.safetensors'))
  const sizes = await Promise.all(shards.map((name) => stat(join(checkpoint, name))))
  return { bytes: sizes.reduce((sum, { size }) => sum + size, 0), shards: shards.length }
}
