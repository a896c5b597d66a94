import { mkdir, open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { writeError } from '@system/errors'
import { elementsOf } from '../architectures/Architecture'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { readFully } from '../checkpoint/FilePool'
import { readFloatTensors, writeFloatTensors } from '../checkpoint/floatTensors'
import type { LayerInput } from '../decoder/decoderLayer'
import { bytesOf } from '../lib/matrix'
import type { Runtime, Tensor } from '../onnx/Runtime'
import { STATE_PARTS } from '../training/adamw'

/** What is kept of a trained layer: AdamW's state, and the gradient of the step at hand. */
const PARTS = [...STATE_PARTS, 'gradient'] as const
export type StatePart = (typeof PARTS)[number]

/** Tensors by the names of `layerInputs`. */
export type LayerTensors = Readonly<Record<string, Tensor>>

/** Where a layer's state is between its uses: in the device's memory, in the host's, or in a file. */
export type StatePlace = 'device' | 'memory' | 'file'

export interface LayerStatesOptions {
  readonly layers: readonly number[]
  /** Weights of a layer, and those among them that are trained: only these have moments and a gradient. */
  readonly inputs: (layer: number) => readonly LayerInput[]
  readonly trained: (layer: number) => readonly LayerInput[]
  readonly placeOf: (layer: number) => StatePlace
  /** For files. */
  readonly folder: string
}

/** Values, moments and gradients of the trained layers, float32, each where there is room for it. */
export class LayerStates {
  /** Of layers in memory or on the device. */
  readonly #held = new Map<string, LayerTensors>()
  /** Arrays that layers in files are read into, a set for each part: valid until the next layer's is asked for. */
  readonly #scratch = new Map<string, LayerTensors>()
  readonly #files = new Map<number, FileHandle>()

  private constructor(
    private readonly runtime: Runtime,
    private readonly options: LayerStatesOptions,
  ) {}

  /** Begins with the checkpoint's values and moments of zero. */
  static async open(
    checkpoint: Checkpoint,
    runtime: Runtime,
    options: LayerStatesOptions,
  ): Promise<LayerStates> {
    const states = new LayerStates(runtime, options)
    try {
      for (const layer of options.layers) {
        const read = new Map<string, Float32Array>()
        const inputs = options.inputs(layer)
        for (const { tensor } of inputs) {
          const name = checkpoint.layerTensorName(layer, tensor)
          if (!read.has(tensor)) read.set(tensor, await checkpoint.readFloat32(name))
        }
        const value: Record<string, Tensor> = {}
        for (const { name, tensor, offset, shape } of inputs) {
          const all = read.get(tensor) ?? new Float32Array(0)
          value[name] = runtime.float32(all.subarray(offset, offset + elementsOf(shape)), shape)
        }
        await states.put(layer, 'value', value)
        for (const part of ['first', 'second'] as const) {
          await states.put(layer, part, states.#zeros(layer, part))
        }
      }
      return states
    } catch (error) {
      await states.dispose()
      throw error
    }
  }

  /** A part of a layer; of one in a file it is valid until the same part of another layer is asked for. */
  async get(layer: number, part: StatePart): Promise<LayerTensors> {
    if (this.options.placeOf(layer) !== 'file') {
      const held = this.#held.get(`${layer}/${part}`)
      if (held) return held
      throw new AppError('bug', `Layer ${layer} has no ${part}.`)
    }
    const scratch = this.#scratchOf(layer, part)
    const file = await this.#fileOf(layer)
    let at = this.#startOf(layer, part)
    for (const { name } of this.#inputsOf(layer, part)) {
      const bytes = bytesOf(scratch[name]!.data as Float32Array)
      await readFully(file, this.#pathOf(layer), at, bytes)
      at += bytes.byteLength
    }
    return scratch
  }

  /** Keeps a part of a layer; tensors of the device that it replaces are given up. */
  async put(layer: number, part: StatePart, tensors: LayerTensors): Promise<void> {
    switch (this.options.placeOf(layer)) {
      case 'device':
        return await this.#hold(layer, part, tensors)
      case 'memory':
        return await this.#copy(layer, part, tensors)
      case 'file':
        return await this.#write(layer, part, tensors)
    }
  }

  /** Arrays of the host in which a part may be computed before it is {@link put}; none for layers on the device. */
  targets(layer: number, part: StatePart): LayerTensors {
    switch (this.options.placeOf(layer)) {
      case 'device':
        return {}
      case 'memory': {
        const key = `${layer}/${part}`
        const held = this.#held.get(key) ?? this.#zeros(layer, part)
        this.#held.set(key, held)
        return held
      }
      case 'file':
        return this.#scratchOf(layer, part)
    }
  }

  /** Writes AdamW's state of every layer, a file each. */
  async save(folder: string, step: number): Promise<void> {
    for (const layer of this.options.layers) {
      const tensors = []
      for (const part of STATE_PARTS) {
        const own = await this.get(layer, part)
        for (const { name, shape } of this.options.trained(layer)) {
          const values = await this.runtime.read(own[name]!)
          tensors.push({ name: `${name}.${part}`, shape, values })
        }
      }
      await writeFloatTensors(savedFile(folder, layer), tensors, { step: String(step) })
    }
  }

  /**
   * Reads what {@link save} wrote.
   *
   * @returns The number of steps.
   * @throws AppError `bad_checkpoint` when a file is of another training.
   */
  async restore(folder: string): Promise<number> {
    let step: number | null = null
    for (const layer of this.options.layers) {
      const file = savedFile(folder, layer)
      const { tensors, metadata } = await readFloatTensors(file)
      const own = Number(metadata['step'])
      if (!Number.isSafeInteger(own) || own < 0 || (step !== null && own !== step)) {
        throw foreign(file, { field: 'step', actual: String(metadata['step']) })
      }
      step = own
      for (const part of STATE_PARTS) {
        // What is not trained keeps its values.
        const next: Record<string, Tensor> =
          part === 'value' ? { ...(await this.get(layer, part)) } : {}
        for (const { name, shape } of this.options.trained(layer)) {
          const tensor = `${name}.${part}`
          const found = tensors.get(tensor)
          const expected = `[${shape.join(', ')}]`
          const actual = found ? `[${found.shape.join(', ')}]` : 'nothing'
          if (!found || actual !== expected) throw foreign(file, { tensor, expected, actual })
          next[name] = this.runtime.float32(found.values, shape)
        }
        await this.put(layer, part, next)
      }
    }
    return step ?? 0
  }

  async dispose(): Promise<void> {
    for (const tensors of this.#held.values()) this.#release(tensors)
    this.#held.clear()
    this.#scratch.clear()
    for (const [layer, file] of this.#files) {
      await file.close()
      await rm(this.#pathOf(layer), { force: true })
    }
    this.#files.clear()
  }

  async #hold(layer: number, part: StatePart, tensors: LayerTensors): Promise<void> {
    const key = `${layer}/${part}`
    const before = this.#held.get(key) ?? {}
    const next: Record<string, Tensor> = {}
    for (const [name, tensor] of Object.entries(tensors)) {
      const isThere = tensor.location !== 'cpu'
      next[name] = isThere
        ? tensor
        : await this.runtime.upload(await this.runtime.read(tensor), tensor.dims)
      if (before[name] && before[name] !== tensor) this.runtime.release(before[name])
    }
    this.#held.set(key, next)
  }

  async #copy(layer: number, part: StatePart, tensors: LayerTensors): Promise<void> {
    const key = `${layer}/${part}`
    const held: Record<string, Tensor> = { ...this.#held.get(key) }
    for (const [name, tensor] of Object.entries(tensors)) {
      const values = await this.runtime.read(tensor)
      const own = held[name]
      if (!own) held[name] = this.runtime.float32(values, tensor.dims)
      else if (own.data !== values) (own.data as Float32Array).set(values)
      this.runtime.release(tensor)
    }
    this.#held.set(key, held)
  }

  async #write(layer: number, part: StatePart, tensors: LayerTensors): Promise<void> {
    const file = await this.#fileOf(layer)
    let at = this.#startOf(layer, part)
    try {
      for (const { name, shape } of this.#inputsOf(layer, part)) {
        const tensor = tensors[name]!
        const bytes = bytesOf(await this.runtime.read(tensor))
        await writeFully(file, bytes, at)
        this.runtime.release(tensor)
        at += elementsOf(shape) * Float32Array.BYTES_PER_ELEMENT
      }
    } catch (error) {
      throw writeError(error, this.#pathOf(layer))
    }
  }

  #inputsOf(layer: number, part: StatePart): readonly LayerInput[] {
    return part === 'value' ? this.options.inputs(layer) : this.options.trained(layer)
  }

  /** Where a part begins in a layer's file. */
  #startOf(layer: number, part: StatePart): number {
    const before = PARTS.slice(0, PARTS.indexOf(part))
    return before.reduce((sum, each) => sum + bytesIn(this.#inputsOf(layer, each)), 0)
  }

  /** Layers with the same tensors share it. */
  #scratchOf(layer: number, part: StatePart): LayerTensors {
    const key = [part, ...this.#inputsOf(layer, part).map(({ name }) => name)].join('/')
    const scratch = this.#scratch.get(key) ?? this.#zeros(layer, part)
    this.#scratch.set(key, scratch)
    return scratch
  }

  #zeros(layer: number, part: StatePart): LayerTensors {
    return Object.fromEntries(
      this.#inputsOf(layer, part).map(({ name, shape }) => [
        name,
        this.runtime.float32(new Float32Array(elementsOf(shape)), shape),
      ]),
    )
  }

  async #fileOf(layer: number): Promise<FileHandle> {
    const known = this.#files.get(layer)
    if (known) return known
    const path = this.#pathOf(layer)
    try {
      await mkdir(this.options.folder, { recursive: true })
      const file = await open(path, 'w+')
      this.#files.set(layer, file)
      return file
    } catch (error) {
      throw writeError(error, path)
    }
  }

  #pathOf(layer: number): string {
    return join(this.options.folder, `layer-${layer}.f32`)
  }

  #release(tensors: LayerTensors): void {
    for (const tensor of Object.values(tensors)) this.runtime.release(tensor)
  }
}

/** Bytes of some weights as float32. */
export function bytesIn(inputs: readonly LayerInput[]): number {
  return (
    inputs.reduce((sum, { shape }) => sum + elementsOf(shape), 0) * Float32Array.BYTES_PER_ELEMENT
  )
}

function savedFile(folder: string, layer: number): string {
  return join(folder, `layer-${layer}.safetensors`)
}

async function writeFully(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, at + done)
    done += bytesWritten
  }
}

function foreign(file: string, context: Readonly<Record<string, string>>): AppError {
  return new AppError('bad_checkpoint', `${file} is not the state of this training.`, {
    hint: 'Remove the folder that keeps the job, and the training begins anew.',
    context: { file, ...context },
  })
}
