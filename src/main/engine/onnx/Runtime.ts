import { AppError, systemProblem } from '@shared/errors'
import type { Device } from '@shared/devices'
import type * as Ort from 'onnxruntime-node'
import { Graph, type Value } from './graph'
import { loadLibrary } from '../lib/library'
import { keepTrailing } from '../lib/matrix'
import { makeRoom, noteAllocation } from './hostMemory'
import { encode } from './lowering'
import { placementOf, type Placement } from './placement'

export type Tensor = Ort.Tensor
export type Feeds = Readonly<Record<string, Tensor>>

/** ONNX Runtime's names for the devices. */
const PROVIDERS: Readonly<Record<Device, string>> = {
  cpu: 'cpu',
  webgpu: 'webgpu',
  cuda: 'cuda',
  dml: 'dml',
  coreml: 'coreml',
}

/** Failures are thrown as well; what the runtime prints besides means nothing to people. */
const LOG_FATAL = 4

/**
 * Numbers below float32's normal range count as zero: processors take many times as long for each of them, and the
 * moments of a parameter that gets no gradient any more shrink into that range and stay there. The first session sets it
 * for the whole process.
 */
const FLUSH_TO_ZERO = { set_denormal_as_zero: '1' } as const

/** Names how many threads compute on the CPU; without it, one for each core. */
const THREADS_VARIABLE = 'LESA_THREADS'

/** More than any machine has cores; the library would start them. */
const MOST_THREADS = 1024

/** Threads wait for their next work asleep. */
const NO_SPINNING = { intra_op: { allow_spinning: '0' } } as const

export interface CompileOptions {
  /** Outputs that stay on the device, to be fed to another run or {@link Runtime.read}. */
  readonly resident?: readonly string[]
  /**
   * Whether the CPU provider keeps the memory of one operator for the next (the default): fast in loops, but it takes
   * memory in powers of two and gives none back while the kernel lives.
   */
  readonly keepsMemory?: boolean
  /**
   * Whether threads spin while they wait for the kernel's next run (the default): they take up the next one at once, but
   * where several kernels are called in turn each one's threads take the processors from the others'.
   */
  readonly spins?: boolean
  /**
   * Whether the CPU provider puts all of a run's results into one block once it knows their sizes (the default): it holds
   * the block beside what the first run took, which for large graphs is as much again.
   */
  readonly plansMemory?: boolean
}

/**
 * ONNX Runtime on one device. One instance per process and device: the runtime's sessions must be called from one
 * thread, and each call blocks it.
 */
export class Runtime {
  private readonly kernels = new Set<Kernel>()
  /** Those that move tensors or cut them. */
  private readonly movers = new Map<string, Kernel>()
  private host: Runtime | null = null

  private constructor(
    readonly device: Device,
    readonly placement: Placement,
    private readonly ort: typeof Ort,
    /** That compute on the CPU; `null` where there is one for each core. */
    readonly threads: number | null,
  ) {}

  /**
   * Loads the runtime; whether the device works shows only when a kernel is compiled.
   *
   * @throws AppError `bad_request` when `LESA_THREADS` is no number of threads; what loading the library throws.
   */
  static async open(device: Device, placement = placementOf(device)): Promise<Runtime> {
    const threads = threadsFrom(process.env[THREADS_VARIABLE])
    const ort = await loadLibrary()
    ort.env.logLevel = 'fatal'
    return new Runtime(device, placement, ort, threads)
  }

  /** A runtime for what is better done on the host, as it would go to a device each time; ends with this one. */
  async onHost(): Promise<Runtime> {
    return this.placement.isHost ? this : (this.host ??= await Runtime.open('cpu'))
  }

  /**
   * Makes a graph ready to run.
   *
   * @throws AppError `device_unavailable` when the device or its driver refuses.
   */
  async compile(graph: Graph, options: CompileOptions = {}): Promise<Kernel> {
    const resident = this.placement.keepsResults ? (options.resident ?? []) : []
    const locations = Object.fromEntries(resident.map((name) => [name, 'gpu-buffer' as const]))
    try {
      const session = await this.ort.InferenceSession.create(encode(graph), {
        executionProviders: [PROVIDERS[this.device]],
        graphOptimizationLevel: 'all',
        logSeverityLevel: LOG_FATAL,
        ...(this.threads === null ? {} : { intraOpNumThreads: this.threads }),
        enableCpuMemArena: options.keepsMemory ?? true,
        enableMemPattern: options.plansMemory ?? true,
        extra: {
          session: { ...FLUSH_TO_ZERO, ...(options.spins === false ? NO_SPINNING : {}) },
        },
        ...(resident.length > 0 ? { preferredOutputLocation: locations } : {}),
      })
      const kernel = new Kernel(session, this.device, this.placement, () =>
        this.kernels.delete(kernel),
      )
      this.kernels.add(kernel)
      return kernel
    } catch (cause) {
      const problem = systemProblem(cause)
      if (problem) throw problem
      throw new AppError('device_unavailable', `The device ${this.device} can't run this graph.`, {
        hint: 'Choose another device, or cpu, which always works.',
        context: { device: this.device, actual: cause instanceof Error ? cause.message : '' },
        cause,
      })
    }
  }

  float32(values: Float32Array, dims: readonly number[]): Tensor {
    return new this.ort.Tensor('float32', values, dims)
  }

  /** Rows `first … first + count − 1` of a row-major float32 matrix; a view, not a copy. */
  rows(matrix: Float32Array, width: number, first: number, count: number): Tensor {
    return this.float32(matrix.subarray(first * width, (first + count) * width), [count, width])
  }

  /** A tensor of the element type that the array has. */
  stored(values: Float32Array | Int16Array, dims: readonly number[]): Tensor {
    return values instanceof Float32Array
      ? this.float32(values, dims)
      : new this.ort.Tensor('int16', values, dims)
  }

  /** Half-precision numbers by their bits. */
  float16(values: Uint16Array, dims: readonly number[]): Tensor {
    return new this.ort.Tensor('float16', values, dims)
  }

  int32(values: Int32Array, dims: readonly number[]): Tensor {
    return new this.ort.Tensor('int32', values, dims)
  }

  int64(values: BigInt64Array, dims: readonly number[]): Tensor {
    return new this.ort.Tensor('int64', values, dims)
  }

  /** A float32 tensor in the device's memory, for feeding it many times. */
  async upload(values: Float32Array, dims: readonly number[]): Promise<Tensor> {
    const tensor = this.float32(values, dims)
    return this.placement.keepsResults ? this.copy(tensor, ['y']) : tensor
  }

  /** The values of a float32 tensor, fetched from the device when it is there. */
  async read(tensor: Tensor): Promise<Float32Array> {
    // Reading a device tensor directly aborts the process (onnxruntime-node 1.30): copy it through a kernel.
    const local = tensor.location === 'cpu' ? tensor : await this.copy(tensor, [])
    if (local.data instanceof Float32Array) return local.data
    throw new AppError('bug', `Expected a float32 tensor, found ${local.type}.`)
  }

  /**
   * What is left of a square float32 matrix without its first rows and columns, where it lies.
   *
   * @param matrix Given up; on the host its array is used again.
   */
  async trailing(matrix: Tensor, dropped: number): Promise<Tensor> {
    const size = matrix.dims[0] ?? 0
    if (matrix.location === 'cpu') {
      const rest = keepTrailing(await this.read(matrix), size, size - dropped)
      return this.float32(rest, [size - dropped, size - dropped])
    }
    const cut = await this.mover(`trailing/${dropped}`, ['y'], (g) =>
      g.sliceFrom(g.input('x', ['m', 'm']), [0, 1], dropped, 'rest'),
    )
    const rest = (await cut.run({ x: matrix })).one('y')
    this.release(matrix)
    return rest
  }

  /** Gives up a tensor: frees its device memory. An array of the host goes when nothing uses it any more. */
  release(tensor: Tensor): void {
    if (tensor.location !== 'cpu') tensor.dispose()
  }

  async dispose(): Promise<void> {
    for (const kernel of [...this.kernels]) await kernel.dispose()
    this.movers.clear()
    await this.host?.dispose()
    this.host = null
  }

  private async copy(tensor: Tensor, resident: readonly string[]): Promise<Tensor> {
    const rank = tensor.dims.length
    const copier = await this.mover(`copy/${rank}/${resident.join()}`, resident, (g) =>
      g.input(
        'x',
        Array.from({ length: rank }, (_, axis) => `d${axis}`),
      ),
    )
    return (await copier.run({ x: tensor })).one('y')
  }

  /** A kernel from `x` to `y`. */
  private async mover(
    key: string,
    resident: readonly string[],
    build: (g: Graph) => Value,
  ): Promise<Kernel> {
    let kernel = this.movers.get(key)
    if (!kernel) {
      const g = new Graph()
      g.output('y', build(g))
      kernel = await this.compile(g, { resident, keepsMemory: false })
      this.movers.set(key, kernel)
    }
    return kernel
  }
}

function threadsFrom(text: string | undefined): number | null {
  if (text === undefined || text === '') return null
  const threads = Number(text)
  if (Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS) return threads
  throw new AppError('bad_request', `${THREADS_VARIABLE} is no number of threads.`, {
    hint: 'Unset it to use every core.',
    context: { expected: `a whole number from 1 to ${MOST_THREADS}`, actual: text },
  })
}

/** Results of a run by name. */
export class Results {
  constructor(private readonly tensors: Readonly<Record<string, Tensor>>) {}

  one(name: string): Tensor {
    const tensor = this.tensors[name]
    if (tensor) return tensor
    throw new AppError('bug', `The graph has no output ${name}.`)
  }

  /** The values of a float32 output that is not resident. */
  floats(name: string): Float32Array {
    const { data } = this.one(name)
    if (data instanceof Float32Array) return data
    throw new AppError('bug', `Output ${name} is not float32.`)
  }
}

/** A compiled graph. */
export class Kernel {
  constructor(
    private readonly session: Ort.InferenceSession,
    private readonly device: Device,
    private readonly placement: Placement,
    private readonly onDispose: () => void,
  ) {}

  /**
   * Runs the graph once. Blocks the thread until it is done.
   *
   * @param into Tensors on the host that take results, by output, unless these stay on the device. On the host the results
   *   are computed in place, so one of them may be a feed at the same time where the operators allow it (`Gemm` on its
   *   third operand).
   * @throws AppError `device_lost` when a device other than the CPU fails, `not_enough_memory` or `bug` on the CPU.
   */
  async run(feeds: Feeds, into: Feeds = {}): Promise<Results> {
    try {
      makeRoom()
      const results = this.placement.isHost
        ? await this.session.run(feeds, this.#targets(into))
        : await this.session.run(feeds)
      const tensors: Record<string, Tensor> = { ...results }
      for (const [name, tensor] of Object.entries(results)) {
        if (tensor.location !== 'cpu') continue
        // The runtime hands every result over as a copy, those with a place of their own too.
        noteAllocation((tensor.data as Float32Array).byteLength)
        const target = into[name]
        if (!target) continue
        if (!this.placement.isHost) (target.data as Float32Array).set(tensor.data as Float32Array)
        tensors[name] = target
      }
      return new Results(tensors)
    } catch (cause) {
      const problem = systemProblem(cause)
      if (problem) throw problem
      const actual = cause instanceof Error ? cause.message : String(cause)
      const code = this.device === 'cpu' ? 'bug' : 'device_lost'
      throw new AppError(code, `The computation failed on ${this.device}: ${actual}`, {
        context: { device: this.device },
        ...(code === 'device_lost' ? { hint: 'Run it again with --device cpu.' } : {}),
        cause,
      })
    }
  }

  #targets(into: Feeds): Record<string, Tensor | null> {
    return Object.fromEntries(this.session.outputNames.map((name) => [name, into[name] ?? null]))
  }

  /** Frees the session, and with it every tensor that it left on the device. */
  async dispose(): Promise<void> {
    this.onDispose()
    await this.session.release()
  }
}
