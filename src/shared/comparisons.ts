/** @file Every method at one depth: grown where it is missing, measured on one text, and trained where asked for. */
import { z } from 'zod'
import { CONTEXT_TOKENS } from './bounds'
import { DEVICE_CHOICES } from './devices'
import type { AppErrorData } from './errors'
import { fitsText, METHODS, type Method } from './methods'
import { methodSchema } from './methods/schema'
import {
  runCalibrationSchema,
  runSettingsSchema,
  textIdSchema,
  type ProjectText,
  type ProjectView,
  type RunId,
} from './projects'
import { COMPARED_STARTS, trainingSettingsSchema, type TrainingId } from './trainings'

/** What is compared unless somebody chooses others: each start, and what it has to beat. */
export const COMPARED_METHODS: readonly Method[] = METHODS.filter(
  (method) => COMPARED_STARTS.includes(method) || fitsText(method),
)

export const comparisonRequestSchema = z.object({
  /** Depth, gaps and what the methods share are this growth's. */
  like: runSettingsSchema,
  methods: z.array(methodSchema).min(1).max(METHODS.length),
  /** That all are measured on. */
  text: textIdSchema,
  /** Tokens per window; the model's own context, at most 2048, by default. */
  context: z.int().min(CONTEXT_TOKENS.min).max(CONTEXT_TOKENS.max).optional(),
  device: z.enum(DEVICE_CHOICES),
  /** What a start is fitted to, where one is: another text than the one that is measured on. */
  calibration: runCalibrationSchema.optional(),
  /** How the starts are trained once they are measured; without it they are not. */
  race: trainingSettingsSchema.omit({ runs: true }).optional(),
})
export type ComparisonRequest = z.infer<typeof comparisonRequestSchema>

export const COMPARISON_STATES = ['running', 'stopped', 'interrupted', 'failed', 'done'] as const
export type ComparisonState = (typeof COMPARISON_STATES)[number]

/** The project's latest comparison of all methods. What became of its runs and its training, they tell themselves. */
export interface MethodComparison {
  readonly request: ComparisonRequest
  /** `interrupted`: the program ended while it ran. */
  readonly state: ComparisonState
  /** What is compared, as `request.methods` lists it; runs that there were before, too. */
  readonly runs: readonly RunId[]
  /** Methods that cannot make that depth, each with the reason in a sentence. */
  readonly impossible: readonly { readonly method: Method; readonly reason: string }[]
  /** Once the starts are measured, where they are raced. */
  readonly training: TrainingId | null
  /** Models that are to be measured, the base among them, as far as they are known; the trained ones come last. */
  readonly measured: { readonly done: number; readonly all: number; readonly job: string | null }
  readonly error: AppErrorData | null
}

/** A text that was cut in two, so that one part can be fitted to and the other measured on. */
export interface TextSplit {
  readonly project: ProjectView
  readonly parts: readonly [first: ProjectText, second: ProjectText]
}
