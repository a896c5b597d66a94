import { AppError } from '@shared/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { Runtime } from '../onnx/Runtime'
import type { LayerTrainingSettings, MeanLoss, Portion, StepReport } from './settings'

export interface LayerTrainerOptions {
  readonly settings: LayerTrainingSettings
  /** Tokens of a window, and windows of a step. */
  readonly context: number
  readonly batch: number
  /** Bound of host memory; without it a share of what the machine has. */
  readonly memoryBytes?: number | undefined
  readonly deviceMemoryBytes?: number | undefined
  /** For what does not fit into memory; its files are removed by {@link LayerTrainer.dispose}. */
  readonly scratch: string
  readonly signal: AbortSignal
}

/**
 * Trains some layers of a checkpoint, everything else frozen.
 *
 * An abort is noticed within a step, before anything has changed: what {@link save} writes afterwards is the state after
 * the last whole step.
 */
export class LayerTrainer {
  /** @throws AppError `unsupported_architecture`, `bad_request` for layers that there are not, `not_enough_memory`. */
  static open(
    _checkpoint: Checkpoint,
    _runtime: Runtime,
    _options: LayerTrainerOptions,
  ): Promise<LayerTrainer> {
    return Promise.reject(new AppError('bug', 'Not built yet.'))
  }

  /** Numbers that are trained. */
  get parameters(): number {
    return 0
  }

  /** Steps taken. */
  get steps(): number {
    return 0
  }

  /**
   * One optimiser step on `batch` windows `[context]`.
   *
   * @throws AppError `numeric_failure` where the loss or the gradient is not finite: nothing has changed then.
   */
  // eslint-disable-next-line require-yield
  async *step(_windows: readonly Int32Array[]): AsyncGenerator<Portion, StepReport> {
    await Promise.resolve()
    throw new AppError('bug', 'Not built yet.')
  }

  /** The loss on windows of any number, with the layers as they are now. */
  // eslint-disable-next-line require-yield
  async *evaluate(_windows: readonly Int32Array[]): AsyncGenerator<Portion, MeanLoss> {
    await Promise.resolve()
    throw new AppError('bug', 'Not built yet.')
  }

  /** Writes values, moments and the number of steps into a folder, a file for each layer. */
  save(_folder: string): Promise<void> {
    return Promise.reject(new AppError('bug', 'Not built yet.'))
  }

  /** Goes on from what {@link save} wrote: bit for bit as if nothing had happened in between, on the CPU. */
  restore(_folder: string): Promise<void> {
    return Promise.reject(new AppError('bug', 'Not built yet.'))
  }

  /** A trained tensor as it is now, by its name in the checkpoint; `null` for one that is not trained. */
  values(_tensor: string): Promise<Float32Array | null> {
    return Promise.resolve(null)
  }

  dispose(): Promise<void> {
    return Promise.resolve()
  }
}
