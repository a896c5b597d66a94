/** How a value is to be read; more is better for rates. */
export type Unit = 's' | 'steps/s' | 'tokens/s'

/** One measured run. */
export interface Sample {
  readonly value: number
  /** Most resident memory of the whole process tree at one time; `null` where the system does not tell. */
  readonly peakBytes: number | null
}

/** What is asked of a part; ratios are of time, ours over the reference's. */
export interface Goal {
  readonly ratio?: number
  readonly seconds?: number
  readonly peakBytes?: number
  /** Peak memory, ours over the reference's. */
  readonly peakRatio?: number
}

/** What the program itself says of a run before it begins. */
export interface Estimate {
  /** Range in seconds. */
  readonly seconds: readonly [low: number, high: number]
  /** Of the engine's process alone. */
  readonly peakBytes: number
}

/** One thing measured. Most benchmarks have one part; copying has one for each method. */
export interface Part {
  readonly name: string
  readonly unit: Unit
  readonly ours: readonly Sample[]
  /** `null` when there is none, or none that can run here. */
  readonly reference: readonly Sample[] | null
  readonly goal: Goal
  readonly estimate?: Estimate
  /** Whatever helps to read the numbers: stages, conditions. */
  readonly notes?: readonly string[]
}

/** Runs one measurement; the runner decides how often and in which turn. */
export interface Turn {
  readonly ours: () => Promise<Sample>
  readonly reference: (() => Promise<Sample>) | null
}

export interface BenchContext {
  /** The project's folder. */
  readonly root: string
  /** Bundle of `child.ts`. */
  readonly child: string
  /** A folder for this benchmark alone; removed afterwards. */
  readonly work: string
  /** Sizes of a smoke test. */
  readonly quick: boolean
  /** How often each side is measured, or the benchmark's own number. */
  readonly repeats: number | null
  /** False when only our own side is wanted. */
  readonly withReference: boolean
  /** Interpreter with PyTorch for the references, or `null`. */
  readonly python: string | null
  readonly signal: AbortSignal
  /** Progress, for people. */
  readonly say: (text: string) => void
}

export interface Benchmark {
  readonly name: string
  /** What is measured against what, in a sentence or two. */
  readonly description: string
  /** @throws SkipError when it cannot run here. */
  readonly run: (context: BenchContext) => Promise<readonly Part[]>
}

/** The machine cannot run a benchmark; the message says why. */
export class SkipError extends Error {
  override readonly name = 'SkipError'
}
