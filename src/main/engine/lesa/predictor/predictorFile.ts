import { writeFloatTensors } from '../../checkpoint/floatTensors'
import { PARAMETER_NAMES, parameterDims } from './predictor'
import type { TrainedPredictor } from './train'

/** Keeps a trained predictor as a safetensors file, float32, in `nn.Linear` layout. */
export async function writePredictor(
  file: string,
  { shape, weights }: TrainedPredictor,
): Promise<void> {
  const dims = parameterDims(shape)
  await writeFloatTensors(
    file,
    PARAMETER_NAMES.map((name) => ({ name, shape: dims[name], values: weights[name] })),
  )
}
