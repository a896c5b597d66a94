/** @file A trainer's state in a safetensors file: training goes on from it exactly as it would have. */
import { AppError } from '@shared/errors'
import { readFloatTensors, writeFloatTensors } from '../checkpoint/floatTensors'
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
  await writeFloatTensors(
    file,
    [
      ...tensors('', value),
      ...(moments ? tensors('.first', moments.first) : []),
      ...(moments ? tensors('.second', moments.second) : []),
    ],
    { step: String(step) },
  )
}

/**
 * Reads what {@link writeTrainingState} wrote of the same parameters.
 *
 * @throws AppError `bad_checkpoint` when the file holds others, `not_found`, `path_denied`.
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

function foreign(file: string, context: Readonly<Record<string, string>>): AppError {
  return new AppError('bad_checkpoint', `${file} is not the state of this training.`, {
    hint: 'Remove the file, and the training begins anew.',
    context: { file, ...context },
  })
}
