/** @file Continual pre-training of a grown model's new layers: what is asked, what is told, and how curves are compared. */
import type { Device } from './devices'

/** How the learning rate moves: warm-up, stable, decay; half a cosine after the warm-up; level after the warm-up. */
export const SCHEDULES = ['wsd', 'cosine', 'constant'] as const
export type ScheduleName = (typeof SCHEDULES)[number]

export const TEXT_ORDERS = ['shuffled', 'sequential'] as const
export type TextOrder = (typeof TEXT_ORDERS)[number]

/** What of a trained layer moves. */
export const TRAINED_PARTS = ['all', 'norms'] as const
export type TrainedParts = (typeof TRAINED_PARTS)[number]

/** What a training takes where nobody says otherwise. */
export const PRETRAIN_DEFAULTS = {
  textField: 'text',
  evalShare: 0.05,
  steps: 100,
  batch: 8,
  /** LLaMA Pro's rate for its new blocks (Wu et al. 2024, section 4.1). */
  learningRate: 2e-4,
  outputRateFactor: 1,
  schedule: 'wsd',
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  clip: 1,
  saveEvery: 10,
  order: 'shuffled',
  seed: 0,
  repeats: 1,
} as const

/** Tokens of a window where nobody says: the model's own context, at most this. */
export const MAX_DEFAULT_CONTEXT = 1024

/** Steps of warm-up where nobody says. */
export function defaultWarmup(steps: number): number {
  return Math.min(100, Math.round(steps * 0.1))
}

/** Steps of the decay of `wsd`: a fifth (Hägele et al. 2024). */
export function decaySteps(steps: number): number {
  return Math.floor(steps * 0.2)
}

/** Steps between evaluations where nobody says: some twenty of them. */
export function defaultEvalEvery(steps: number): number {
  return Math.max(1, Math.round(steps / 20))
}

/** Steps of a learning rate's trial. */
export function trialSteps(steps: number): number {
  return Math.max(1, Math.min(Math.round(steps * 0.1), 100))
}

/** A point of a curve: optimiser steps taken, mean negative log-likelihood per token in nats. */
export type CurvePoint = readonly [step: number, value: number]
export type Curve = readonly CurvePoint[]

/** One training of one model. */
export interface TrainingCurves {
  readonly seed: number
  /** Each step's loss, on its batch, before the step is taken: the first point is at step 1. */
  readonly loss: Curve
  /** On the held-back text, from step 0 on. */
  readonly eval: Curve
  readonly forgetting: Curve
  /** Norm of the gradient of all trained tensors together, before it is clipped; steps as in `loss`. */
  readonly gradient_norm: Curve
  /** Seconds of training alone that lie behind at each evaluation. */
  readonly elapsed: Curve
}

/** What became of one model; the names are those of the command line's JSON. */
export interface PretrainedModel extends TrainingCurves {
  readonly model: string
  readonly name: string
  /** `null` when the training diverged. */
  readonly out: string | null
  readonly steps: number
  /** Seen, repeats counted. */
  readonly tokens: number
  readonly lr: number
  readonly trained_layers: readonly number[]
  readonly trained_parameters: number
  /** Of training alone. */
  readonly seconds: number
  /** By the other model's name: the step from which on this one's loss was no higher than the other's last; `null` if never. */
  readonly steps_to_reach: Readonly<Record<string, number | null>>
  /** Where the loss was lost: not a number, or far above the start. */
  readonly diverged: { readonly step: number; readonly loss: number } | null
  /** The same with further seeds. */
  readonly repeats: readonly TrainingCurves[]
  /** The learning rates that were tried, if there was more than one. */
  readonly trials: readonly {
    readonly lr: number
    readonly steps: number
    readonly loss: number
    readonly seconds: number
  }[]
}

/** A text that was trained or measured on. */
export interface TextFacts {
  readonly name: string
  readonly bytes: number
  readonly documents: number
  readonly tokens: number
}

/**
 * What a trained checkpoint says of a training of it: one of `training` of its `lesa.json`, in their order, and a section
 * of its model card. It holds nothing that differs from run to run, such as times: the same command writes the same bytes.
 */
export interface TrainingRecord {
  readonly steps: number
  readonly tokens: number
  readonly context: number
  readonly batch: number
  readonly lr: number
  readonly output_lr_factor: number
  readonly schedule: ScheduleName
  readonly warmup: number
  readonly weight_decay: number
  readonly betas: readonly [number, number]
  readonly epsilon: number
  readonly clip: number
  readonly trained_layers: readonly number[]
  readonly trained_parts: TrainedParts
  readonly order: TextOrder
  readonly seed: number
  readonly texts: readonly TextFacts[]
  /** Of the first and the last step. */
  readonly loss: { readonly first: number; readonly last: number }
  /** Before and after; `null` where nothing was measured. */
  readonly eval: MeasuredText | null
  readonly forgetting: MeasuredText | null
  readonly device: Device
}

export interface MeasuredText {
  /** Of its file; of the training texts where a share of them was held back. */
  readonly text: string
  readonly tokens: number
  readonly first: number
  readonly last: number
}

/** The series of a running training, as its metrics are called. x is the optimiser step. */
export const CURVE_KINDS = ['loss', 'eval', 'forgetting', 'elapsed'] as const
export type CurveKind = (typeof CURVE_KINDS)[number]

/** The name of a series. @param repeat 0 for the first seed. */
export function curveSeries(kind: CurveKind, name: string, repeat = 0): string {
  return `${kind}/${repeat}/${name}`
}

/** What {@link curveSeries} was made of; `null` for another kind of series. */
export function readCurveSeries(
  series: string,
): { readonly kind: CurveKind; readonly repeat: number; readonly name: string } | null {
  const [, kind, repeat, name] = /^([a-z]+)\/(\d+)\/([\s\S]+)$/.exec(series) ?? []
  if (kind === undefined || name === undefined || !isCurveKind(kind)) return null
  return { kind, repeat: Number(repeat), name }
}

function isCurveKind(kind: string): kind is CurveKind {
  return (CURVE_KINDS as readonly string[]).includes(kind)
}

/** How many tokens an optimiser step has: a series of one point, at step 0, which is told before the first step. */
export const STEP_TOKENS_SERIES = 'tokens-per-step'

/** The series of the base's losses, single points at step 0; a model's name has no line break. */
export const BASE_NAME = '\nbase'

/**
 * From which step on a curve is no higher than `target`, between its points along a line; `null` if it never is. It is the
 * paper's own measure (ACL 2025, section 4.2): steps to the loss that another start ends with.
 */
export function stepsToReach(curve: Curve, target: number): number | null {
  let before: CurvePoint | null = null
  for (const point of curve) {
    const [step, value] = point
    if (value <= target) {
      if (before === null || before[1] === value) return step
      const [from, high] = before
      return from + ((high - target) / (high - value)) * (step - from)
    }
    before = point
  }
  return null
}

/** A curve's value at a step, between its points along a line; that of its nearest end outside of them. */
export function valueAt(curve: Curve, step: number): number | null {
  const index = curve.findIndex(([known]) => known >= step)
  const after = curve[index] ?? curve.at(-1)
  if (after === undefined) return null
  const before = curve[index - 1] ?? after
  const width = after[0] - before[0]
  return width === 0 ? after[1] : before[1] + ((step - before[0]) / width) * (after[1] - before[1])
}

/** What {@link stepsToReach} is asked of: the evaluation loss, or the smoothed training loss where nothing was measured. */
export function comparedCurve({
  eval: measured,
  loss,
}: Pick<TrainingCurves, 'eval' | 'loss'>): Curve {
  return measured.length > 1 ? measured : smoothed(loss)
}

/** Of how many points a smoothed curve's point is about the mean. */
const SMOOTHED_OVER = 10

/** A running mean whose weights fall off exponentially, free of bias at the start. */
export function smoothed(curve: Curve, over = SMOOTHED_OVER): Curve {
  const keep = 1 - 1 / over
  let mean = 0
  let weight = 0
  return curve.map(([step, value]) => {
    mean = keep * mean + (1 - keep) * value
    weight = keep * weight + (1 - keep)
    return [step, mean / weight] as const
  })
}
