/** @file What a model's own `lesa.json` says of its trainings, and the file with another one in it. */
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '@shared/errors'
import type { TrainingRecord } from '@shared/pretraining'
import { trainingRecordSchema } from '@shared/trainingRecord'
import { boundedRead } from '@system/boundedRead'
import { JsonProblem, parseLenientJson } from '../checkpoint/json'
import { ENGINE_VERSION, PROJECT } from '../lib/version'
import { SCHEMA_VERSION } from './lesaJson'

const FILE = 'lesa.json'
const MAX_BYTES = 64e6

const fileSchema = z.looseObject({ training: z.array(trainingRecordSchema).optional() })

/** A model's `lesa.json`: whatever it says, and the trainings among it. */
export interface LesaFile {
  readonly content: Readonly<Record<string, unknown>>
  readonly trainings: readonly TrainingRecord[]
}

/**
 * Reads it; a model that was not grown here has none.
 *
 * @throws AppError `bad_checkpoint` when it is there and is none, `path_denied`.
 */
export async function readLesaFile(folder: string): Promise<LesaFile | null> {
  const file = join(folder, FILE)
  const refuse = (actual: string, field?: string): AppError =>
    new AppError('bad_checkpoint', `${file} does not say how the model was made.`, {
      hint: 'Grow the model again, or remove the file if its layers are named by themselves (--train).',
      context: { file, ...(field === undefined ? {} : { field }), actual },
    })
  let bytes: Uint8Array
  try {
    bytes = await boundedRead(file, MAX_BYTES, 'bad_checkpoint')
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null
    throw error
  }
  let json: unknown
  try {
    json = parseLenientJson(bytes).value
  } catch (error) {
    if (error instanceof JsonProblem) throw refuse(error.message)
    throw error
  }
  const parsed = fileSchema.safeParse(json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw refuse(issue?.message ?? 'something else', issue?.path.join('.'))
  }
  return { content: parsed.data, trainings: parsed.data.training ?? [] }
}

/** The file's text once the model has been trained on: all that it said, and the training after the earlier ones. */
export function withTraining(
  file: LesaFile | null,
  model: { readonly architecture: string; readonly layers: number },
  training: TrainingRecord,
): string {
  const content = file?.content ?? {
    schema_version: SCHEMA_VERSION,
    generator: { name: PROJECT, version: ENGINE_VERSION },
    architecture: model.architecture,
    num_hidden_layers: { before: model.layers, after: model.layers },
  }
  const trainings = [...(file?.trainings ?? []), training]
  return `${JSON.stringify({ ...content, training: trainings }, null, 2)}\n`
}
