import type { z } from 'zod'

/** One job at a time runs in each: what takes the device, and what only reads a file. */
export const LANES = ['heavy', 'light'] as const
export type Lane = (typeof LANES)[number]

/** What a path in a spec is to its job. */
export type PathRole =
  /** A folder or file that is only read: an output must not take it along. */
  | 'reads'
  /** The folder that the job makes, or replaces as a whole. No two jobs may write there. */
  | 'writes'
  /** What is added to from job to job: stages, caches. */
  | 'keeps'

/** Is given a path of a spec with its role, and returns what is to stand in its place. */
export type VisitPath = (path: string, role: PathRole) => string

/** Everything about a kind of job but its generator, which is `src/main/engine/jobs/<kind>.ts`. */
export interface JobKind<Spec extends { readonly kind: string }, Result> {
  readonly kind: Spec['kind']
  readonly lane: Lane
  /** Never set: it carries the type of what the job returns. */
  readonly result?: Result
  /**
   * The spec with each of its paths as `at` returns it. It is the one place that says what a job reads and writes: the
   * check of the output, what may run beside it, what is removed after a crash and what must have been opened follow.
   */
  mapPaths(spec: Spec, at: VisitPath): Spec
  /**
   * What the job does, in a few words.
   *
   * @param run The run of a project that it belongs to, if any.
   */
  title(spec: Spec, run?: string): string
  /** The same of any job of this kind, as it follows "Finished:". */
  readonly doing: string
  /** Whether all that was computed before a step begins is kept, so that the job can be paused there. */
  isKeptBefore?(step: string): boolean
  /**
   * When it is asked to pause, the job itself keeps what it has as soon as that can be gone on with, and ends there. Kinds
   * with neither cannot be paused.
   */
  readonly keepsOnPause?: true
}

/** A kind that can be asked for from outside; the others are made by the program only. */
export interface RequestedKind<Spec extends { readonly kind: string }, Result> extends JobKind<
  Spec,
  Result
> {
  readonly schema: z.ZodObject & z.ZodType<Spec>
}
