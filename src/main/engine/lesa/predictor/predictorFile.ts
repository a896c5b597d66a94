import { writeFile } from 'node:fs/promises'
import { encodeSafetensorsHeader } from '../../checkpoint/safetensors'
import { bytesOf } from '../../lib/matrix'
import { PARAMETER_NAMES, parameterDims } from './predictor'
import type { TrainedPredictor } from './train'

/** Keeps a trained predictor as a safetensors file, float32, in `nn.Linear` layout. */
export async function writePredictor(file: string, predictor: TrainedPredictor): Promise<void> {
  const dims = parameterDims(predictor.shape)
  const tensors = PARAMETER_NAMES.map((name) => ({
    name,
    dtype: 'F32',
    shape: dims[name],
    byteLength: predictor.weights[name].byteLength,
  }))
  const header = encodeSafetensorsHeader(tensors, { format: 'pt' })
  const parts = PARAMETER_NAMES.map((name) => bytesOf(predictor.weights[name]))
  await writeFile(file, Buffer.concat([header, ...parts]))
}
