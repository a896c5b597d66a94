/** @file Small safetensors files of float32 tensors that the engine keeps for itself. */
import { open } from 'node:fs/promises'
import { AppError } from '@shared/errors'
import { bytesOf } from '../lib/matrix'
import { readError, writeError } from '@system/errors'
import { readFully } from './FilePool'
import { encodeSafetensorsHeader, readSafetensorsHeader } from './safetensors'

export interface FloatTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** Row-major. */
  readonly values: Float32Array
}

/** Writes the tensors in their order. @throws AppError where the system refuses. */
export async function writeFloatTensors(
  file: string,
  tensors: readonly FloatTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const entries = tensors.map(({ name, shape, values: { byteLength } }) => ({
    name,
    dtype: 'F32',
    shape,
    byteLength,
  }))
  try {
    const handle = await open(file, 'w')
    try {
      await handle.writeFile(encodeSafetensorsHeader(entries, { format: 'pt', ...metadata }))
      for (const { values } of tensors) await handle.writeFile(bytesOf(values))
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw writeError(error, file)
  }
}

/** Reads what {@link writeFloatTensors} wrote. @throws AppError `bad_checkpoint`, `not_found`, `path_denied`. */
export async function readFloatTensors(
  file: string,
): Promise<{ tensors: Map<string, FloatTensor>; metadata: Readonly<Record<string, string>> }> {
  const header = await readSafetensorsHeader(file)
  const tensors = new Map<string, FloatTensor>()
  try {
    const handle = await open(file, 'r')
    try {
      for (const { name, dtype, shape, offset, byteLength } of header.tensors.values()) {
        if (dtype !== 'F32') {
          throw new AppError('bad_checkpoint', `${file} holds other tensors than float32.`, {
            context: { file, tensor: name, field: 'dtype', expected: 'F32', actual: dtype },
          })
        }
        const values = new Float32Array(byteLength / Float32Array.BYTES_PER_ELEMENT)
        await readFully(handle, file, offset, bytesOf(values))
        tensors.set(name, { name, shape, values })
      }
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw readError(error, file)
  }
  return { tensors, metadata: header.metadata }
}
