/** @file The models of a training, opened and checked before anything is done. */
import { basename, join } from 'node:path'
import { AppError } from '@shared/errors'
import { MAX_RACERS, type PretrainSpec } from '@shared/jobs'
import { folderNameOf } from '@shared/paths'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { bytesOf, type Sidecars } from '../checkpoint/sidecars'
import { tokenDigest } from '../corpus/corpus'
import { checkForwardPass } from '../decoder/ForwardPass'
import { exportSidecars } from '../export/exportPlan'
import { readLesaFile, type LesaFile } from '../growth/lesaFile'
import { contextOf, trainedLayers } from '../pretraining/course'
import { trainedBytes, trainedTensors } from './trainedCheckpoint'

/** A model that is trained. */
export interface Entrant {
  readonly index: number
  /** As the spec has it. */
  readonly path: string
  readonly name: string
  /** Of its folder within a race's. */
  readonly folder: string
  readonly checkpoint: Checkpoint
  readonly layers: readonly number[]
  /** Names of the tensors that move. */
  readonly trained: ReadonlySet<string>
  readonly sidecars: Sidecars
  readonly lesa: LesaFile | null
  /** That will be written. */
  readonly bytes: number
}

export interface Field {
  readonly entrants: readonly Entrant[]
  readonly base: Checkpoint | null
  /** Tokens of a window. */
  readonly context: number
  /** What stands against comparing them, or against their windows. */
  readonly warnings: readonly string[]
  close(): Promise<void>
}

/**
 * Opens the models.
 *
 * @throws AppError `bad_request` for names or layers that do not do, or models with other tokenizers; and what opening a
 *   checkpoint throws.
 */
export async function openField(spec: PretrainSpec, signal: AbortSignal): Promise<Field> {
  checkNames(spec.models)
  checkCount(spec)
  const opened: Checkpoint[] = []
  const close = async (): Promise<void> => {
    for (const checkpoint of opened) await checkpoint.close()
  }
  const open = async (path: string): Promise<Checkpoint> => {
    const checkpoint = await Checkpoint.open(path)
    opened.push(checkpoint)
    checkForwardPass(checkpoint)
    return checkpoint
  }
  try {
    const entrants: Entrant[] = []
    for (const [index, { path, name }] of spec.models.entries()) {
      const checkpoint = await open(path)
      const layers = await trainedLayers(checkpoint, spec)
      const trained = trainedTensors(checkpoint, { layers, parts: spec.trainedParts })
      const sidecars = await exportSidecars(checkpoint)
      entrants.push({
        index,
        path,
        name,
        folder: folderNameOf(name),
        checkpoint,
        layers,
        trained,
        sidecars,
        lesa: await readLesaFile(checkpoint.path),
        bytes: trainedBytes(checkpoint, trained) + bytesOf(sidecars),
      })
    }
    const base = spec.base === undefined ? null : await open(spec.base)
    await requireOneTokenizer(opened, signal)
    const context = contextOf(
      spec,
      opened.map(({ config }) => config),
    )
    return { entrants, base, context, warnings: warningsOf(entrants, opened, context), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Curves and folders go by names. */
function checkNames(models: PretrainSpec['models']): void {
  const seen = new Map<string, string>()
  for (const { name } of models) {
    const refuse = (message: string, hint: string): AppError =>
      new AppError('bad_request', message, { hint, context: { field: 'models', actual: name } })
    // eslint-disable-next-line no-control-regex -- a line break in a name would be taken for something else
    if (/[\u0000-\u001f\u007f]/.test(name)) {
      throw refuse('A name holds characters that cannot be shown.', 'Give it a plain name.')
    }
    // On some systems names that differ in case only are one.
    const folder = folderNameOf(name).normalize('NFC').toLowerCase()
    const other = seen.get(folder)
    if (other !== undefined) {
      const what =
        other === name
          ? `Two models are called "${name}".`
          : `The models "${other}" and "${name}" would be written to one folder.`
      throw refuse(what, 'Give each a name of its own: their curves and folders go by it.')
    }
    seen.set(folder, name)
  }
}

/** Each training has curves of its own. */
function checkCount({ models, repeats }: PretrainSpec): void {
  const count = models.length * repeats
  if (count <= MAX_RACERS) return
  throw new AppError(
    'bad_request',
    `${count} trainings are more than can be shown beside each other.`,
    {
      hint: 'Train fewer models, or with fewer seeds.',
      context: {
        field: 'repeats',
        expected: `at most ${MAX_RACERS} trainings`,
        actual: `${models.length} × ${repeats}`,
      },
    },
  )
}

/** Losses per token can only be compared where the tokens are the same. */
async function requireOneTokenizer(
  checkpoints: readonly Checkpoint[],
  signal: AbortSignal,
): Promise<void> {
  const [first, ...others] = checkpoints
  if (!first) return
  const digest = await tokenDigest(first, signal)
  for (const other of others) {
    if ((await tokenDigest(other, signal)) === digest) continue
    throw new AppError(
      'bad_request',
      `${basename(other.path)} has another tokenizer than ${basename(first.path)}.`,
      {
        hint: 'Train models of different tokenizers by themselves: their losses cannot be compared.',
        context: {
          file: join(other.path, 'tokenizer.json'),
          field: 'models',
          expected: `the tokenizer of ${first.path}`,
          actual: 'another one',
        },
      },
    )
  }
}

function warningsOf(
  entrants: readonly Entrant[],
  opened: readonly Checkpoint[],
  context: number,
): string[] {
  const depths = new Set(entrants.map(({ checkpoint }) => checkpoint.config.numHiddenLayers))
  const trained = new Set(entrants.map(({ layers }) => layers.length))
  return [
    ...(depths.size > 1
      ? [
          `The models have different depths (${[...depths].join(', ')} layers): a step of a deeper one costs more.`,
        ]
      : []),
    ...(trained.size > 1
      ? [`Of the models different numbers of layers are trained (${[...trained].join(', ')}).`]
      : []),
    ...opened.flatMap(({ path, config: { maxPositionEmbeddings: limit } }) =>
      limit !== null && context > limit
        ? [`${basename(path)} was trained for ${limit} positions; windows of ${context} go beyond.`]
        : [],
    ),
  ]
}
