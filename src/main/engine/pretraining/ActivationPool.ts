import { elementsOf } from '../architectures/Architecture'
import type { Runtime, Tensor } from '../onnx/Runtime'

/** Hidden states and slopes of a step: arrays of the host that are used again, and what lies on a device until it is given up. */
export class ActivationPool {
  readonly #free = new Map<string, Tensor[]>()
  readonly #onDevice = new Set<Tensor>()
  /** Arrays that were not made here: were they kept, each step would add some. */
  readonly #adopted = new WeakSet<Tensor>()

  constructor(private readonly runtime: Runtime) {}

  /** An array of the host for a result. */
  take(dims: readonly number[]): Tensor {
    const free = this.#free.get(dims.join())?.pop()
    return free ?? this.runtime.float32(new Float32Array(elementsOf(dims)), dims)
  }

  /** Values where kernels take them. */
  async adopt(values: Float32Array, dims: readonly number[]): Promise<Tensor> {
    const tensor = await this.runtime.upload(values, dims)
    this.#adopted.add(tensor)
    this.note(tensor)
    return tensor
  }

  /** A result that is to be given back. */
  note(tensor: Tensor): void {
    if (tensor.location !== 'cpu') this.#onDevice.add(tensor)
  }

  give(tensor: Tensor): void {
    if (tensor.location === 'cpu') {
      if (this.#adopted.has(tensor)) return
      const key = tensor.dims.join()
      this.#free.set(key, [...(this.#free.get(key) ?? []), tensor])
    } else if (this.#onDevice.delete(tensor)) this.runtime.release(tensor)
  }

  /** Gives up what a step that was stopped left on the device. */
  reset(): void {
    for (const tensor of this.#onDevice) this.runtime.release(tensor)
    this.#onDevice.clear()
  }
}
