import type { Graph } from '../onnx/graph'
import type { CompileOptions, Kernel, Runtime } from '../onnx/Runtime'

/** Graphs compiled when they are first asked for. */
export class KernelCache {
  readonly #kernels = new Map<string, Promise<Kernel>>()

  constructor(private readonly runtime: Runtime) {}

  get(key: string, build: () => Graph, options: CompileOptions = {}): Promise<Kernel> {
    let kernel = this.#kernels.get(key)
    if (!kernel) {
      kernel = this.runtime.compile(build(), options)
      this.#kernels.set(key, kernel)
    }
    return kernel
  }

  async dispose(): Promise<void> {
    const kernels = await Promise.allSettled(this.#kernels.values())
    this.#kernels.clear()
    for (const kernel of kernels) if (kernel.status === 'fulfilled') await kernel.value.dispose()
  }
}
