import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readError, writeError } from '@system/errors'
import { bytesOf } from '../lib/matrix'
import type { Tensor } from '../onnx/Runtime'
import type { ActivationPool } from '../pretraining/ActivationPool'

/** Hidden states that the backward pass needs again: in memory as far as there is some, the others in files. */
export class KeptStates {
  readonly #held = new Map<number, readonly Tensor[]>()
  readonly #filed = new Map<number, readonly (readonly number[])[]>()
  #left: number

  /**
   * @param bytes That may be held in memory.
   * @param folder For the others; made when it is needed.
   */
  constructor(
    private readonly pool: ActivationPool,
    bytes: number,
    private readonly folder: string,
  ) {
    this.#left = bytes
  }

  /** Keeps states, of the host; they may be read until they are taken back. Returns whether their arrays are free again. */
  async put(state: number, tensors: readonly Tensor[]): Promise<boolean> {
    const bytes = tensors.reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0)
    if (bytes <= this.#left) {
      this.#left -= bytes
      this.#held.set(state, tensors)
      return false
    }
    try {
      await mkdir(this.folder, { recursive: true })
      for (const [index, { data }] of tensors.entries()) {
        await writeFile(this.#file(state, index), bytesOf(data as Float32Array))
      }
    } catch (error) {
      throw writeError(error, this.folder)
    }
    this.#filed.set(
      state,
      tensors.map(({ dims }) => dims),
    )
    return true
  }

  /** Gives states back, and forgets them. */
  async take(state: number): Promise<readonly Tensor[]> {
    const held = this.#held.get(state)
    if (held) {
      this.#held.delete(state)
      this.#left += held.reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0)
      return held
    }
    const tensors: Tensor[] = []
    for (const [index, dims] of (this.#filed.get(state) ?? []).entries()) {
      const tensor = this.pool.take(dims)
      const file = this.#file(state, index)
      try {
        bytesOf(tensor.data as Float32Array).set(await readFile(file))
      } catch (error) {
        throw readError(error, file, 'damaged_file')
      }
      await rm(file, { force: true })
      tensors.push(tensor)
    }
    this.#filed.delete(state)
    return tensors
  }

  #file(state: number, index: number): string {
    return join(this.folder, `hidden-${state}-${index}`)
  }
}
