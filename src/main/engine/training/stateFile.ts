/** @file A trainer's state in a safetensors file: training goes on from it exactly as it would have. */
import { createHash } from 'node:crypto'
import { AppError } from '@shared/errors'
import { readFloatTensors, writeFloatTensors, type FloatTensor } from '../checkpoint/floatTensors'
import { bytesOf } from '../lib/matrix'
import { valuesOf, type Parameter, type ParameterValues } from './parameters'
import type { TrainingState } from './Trainer'

/**
 * Writes float32 tensors `NAME`, `NAME.first` and `NAME.second` of every parameter in its own layout, whatever layout it
 * is trained in; the number of steps is metadata. The file is complete only when the call returns.
 */
export async function writeTrainingState<N extends string>(
  file: string,
  parameters: readonly Parameter<N>[],
  { step, value, moments }: TrainingState<N>,
): Promise<void> {
  const tensors = (suffix: string, values: ParameterValues<N>) =>
    parameters.map(({ name, dims }) => ({
      name: `${name}${suffix}`,
      shape: dims,
      values: values[name],
    }))
  const all = [
    ...tensors('', value),
    ...(moments ? tensors('.first', moments.first) : []),
    ...(moments ? tensors('.second', moments.second) : []),
  ]
  await writeFloatTensors(file, all, { step: String(step), sha256: digestOf(step, all) })
}

/**
 * Reads what {@link writeTrainingState} wrote of the same parameters.
 *
 * @throws AppError `bad_checkpoint` when the file holds others, `damaged_file` when it is not as it was written,
 *   `not_found`, `path_denied`.
 */
export async function readTrainingState<N extends string>(
  file: string,
  parameters: readonly Parameter<N>[],
): Promise<TrainingState<N>> {
  const { tensors, metadata } = await readFloatTensors(file)
  const step = Number(metadata['step'])
  if (!Number.isSafeInteger(step) || step < 0) {
    throw foreign(file, { field: 'step', actual: String(metadata['step']) })
  }
  const digest = digestOf(step, [...tensors.values()])
  if (metadata['sha256'] !== digest) {
    throw new AppError('damaged_file', `${file} holds other bytes than were written.`, {
      hint: 'Remove the file, and the training begins anew.',
      context: { file, expected: String(metadata['sha256']), actual: digest },
    })
  }
  const values = (suffix: string): ParameterValues<N> =>
    valuesOf(parameters, ({ name, dims }) => {
      const tensor = `${name}${suffix}`
      const found = tensors.get(tensor)
      if (found?.shape.join() === dims.join()) return found.values
      const actual = found ? `[${found.shape.join(', ')}]` : 'nothing'
      throw foreign(file, { tensor, expected: `[${dims.join(', ')}]`, actual })
    })
  const moments = step > 0 ? { first: values('.first'), second: values('.second') } : null
  return { step, value: values(''), moments }
}

/** Of all that decides how the training goes on. */
function digestOf(step: number, tensors: readonly FloatTensor[]): string {
  const hash = createHash('sha256').update(String(step))
  const byName = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const { name, shape, values } of byName) {
    hash.update(`\0${name} ${shape.join()}\0`).update(bytesOf(values))
  }
  return hash.digest('hex')
}

function foreign(file: string, context: Readonly<Record<string, string>>): AppError {
  return new AppError('bad_checkpoint', `${file} is not the state of this training.`, {
    hint: 'Remove the file, and the training begins anew.',
    context: { file, ...context },
  })
}
