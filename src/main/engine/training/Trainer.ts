import { constant, type Schedule } from '@shared/schedules'
import type { Graph } from '../onnx/graph'
import type { Feeds, Kernel, Runtime, Tensor } from '../onnx/Runtime'
import { adamwScalars, SCALARS, STATE_PARTS, type AdamWSettings } from './adamw'
import { Pace } from './pacing'
import {
  packParameters,
  parameterGroups,
  unpackParameters,
  type Parameter,
  type ParameterGroup,
  type ParameterValues,
} from './parameters'
import { stateNames } from './trainingSteps'

/** Elements of a large weight that the optimiser treats at once on the host: 1 MiB, of which a core's cache holds some. */
const HOST_BLOCK = 2 ** 18

/** All that decides how training goes on: steps taken, and every parameter's value and scaled moments (`adamw.ts`). */
export interface TrainingState<N extends string = string> {
  readonly step: number
  readonly value: ParameterValues<N>
  /** `null` before the first step. */
  readonly moments: Readonly<Record<'first' | 'second', ParameterValues<N>>> | null
}

export interface TrainerOptions<N extends string> {
  readonly parameters: readonly Parameter<N>[]
  /** Where to begin, or to go on. */
  readonly state: TrainingState<N>
  readonly settings: AdamWSettings
  readonly schedule?: Schedule
  /** A graph with `outputTrainingSteps` of these groups. */
  readonly graph: (groups: readonly ParameterGroup[]) => Graph
}

/** Trains parameters by a graph of many steps: keeps the optimiser's state from run to run, and paces the runs. */
export class Trainer<N extends string> {
  private readonly pace = new Pace()

  private constructor(
    private readonly runtime: Runtime,
    private readonly kernel: Kernel,
    // Not its state: what training began with is not needed again.
    private readonly options: Required<Omit<TrainerOptions<N>, 'state' | 'graph'>>,
    private readonly groups: readonly ParameterGroup[],
    /** Each group's three tensors by {@link stateNames}. */
    private readonly tensors: Map<string, Tensor>,
    private step: number,
  ) {}

  static async start<N extends string>(
    runtime: Runtime,
    options: TrainerOptions<N>,
  ): Promise<Trainer<N>> {
    const { parameters, state } = options
    const groups = parameterGroups(parameters, runtime.placement.isHost ? HOST_BLOCK : Infinity)
    const resident = stateNames(groups).map((name) => `${name}.next`)
    const kernel = await runtime.compile(options.graph(groups), { resident })
    const tensors = new Map<string, Tensor>()
    for (const part of STATE_PARTS) {
      const values = part === 'value' ? state.value : state.moments?.[part]
      const packed = values && packParameters(parameters, groups, values)
      for (const { name, size } of groups) {
        const flat = packed?.get(name) ?? new Float32Array(size)
        tensors.set(`${name}.${part}`, runtime.float32(flat, [size]))
      }
    }
    const { settings, schedule = constant } = options
    const kept = { parameters, settings, schedule }
    return new Trainer(runtime, kernel, kept, groups, tensors, state.step)
  }

  /** How many steps the next run should take. */
  get stepsAtOnce(): number {
    return this.pace.steps
  }

  /**
   * Takes `count` steps in one run.
   *
   * @param feeds Gives the graph's other inputs; what that takes counts as part of the run.
   * @returns Each step's loss.
   */
  async advance(count: number, feeds: () => Feeds): Promise<Float32Array> {
    const { runtime, options, tensors } = this
    const { settings, schedule } = options
    const started = performance.now()
    const scalars = Array.from({ length: count }, (_, index) => {
      const step = this.step + index + 1
      return adamwScalars(step, settings, schedule(step))
    })
    const results = await this.kernel.run({
      steps: runtime.int64(BigInt64Array.of(BigInt(count)), []),
      schedule: runtime.float32(Float32Array.from(scalars.flat()), [count, SCALARS.length]),
      ...feeds(),
      ...Object.fromEntries(tensors),
    })
    for (const [name, before] of tensors) {
      tensors.set(name, results.one(`${name}.next`))
      runtime.release(before)
    }
    this.step += count
    this.pace.note(count, performance.now() - started)
    return results.floats('loss')
  }

  /** The parameters as they are now. */
  values(): Promise<ParameterValues<N>> {
    return this.read('value')
  }

  /** Everything that another trainer needs to go on exactly as this one would. */
  async state(): Promise<TrainingState<N>> {
    const [value, first, second] = [
      await this.values(),
      await this.read('first'),
      await this.read('second'),
    ]
    return { step: this.step, value, moments: { first, second } }
  }

  private async read(part: (typeof STATE_PARTS)[number]): Promise<ParameterValues<N>> {
    const flat = new Map<string, Float32Array>()
    for (const { name } of this.groups) {
      const tensor = this.tensors.get(`${name}.${part}`)
      if (tensor) flat.set(name, await this.runtime.read(tensor))
    }
    return unpackParameters(this.options.parameters, this.groups, flat)
  }

  async dispose(): Promise<void> {
    for (const tensor of this.tensors.values()) this.runtime.release(tensor)
    await this.kernel.dispose()
  }
}
