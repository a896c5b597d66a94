import type { GrownLayer, Pattern } from './layers'
import type { LayoutOption, LayoutValue, Options, ValueOf } from './options'

/**
 * How a computed layer's matrices come about. `t` says where the layer lies between the base layers beside its gap:
 * above 0 (the left one), below 1 (the right one).
 */
export type Fill =
  /** Each element from the same one of both layers. */
  | {
      readonly kind: 'elements'
      readonly compute: (left: number, right: number, t: number) => number
    }
  /** Each matrix from the same one of both layers, row-major, as a whole; it may be written into either. */
  | {
      readonly kind: 'matrices'
      readonly compute: (left: Float32Array, right: Float32Array, t: number) => Float32Array
    }
  /** By predictors that are trained on the model's own layers (LESA). */
  | { readonly kind: 'predicted' }
  /** The left layer's rows, transported onto the right one's, averaged with those (OpT-DeUS). */
  | { readonly kind: 'transported' }
  /** Gaussian noise with the Frobenius norm of what another way gives. */
  | { readonly kind: 'noise'; readonly like: Fill }

/** Each element by itself, from both layers' same one. */
export function blend(compute: (left: number, right: number, t: number) => number): Fill {
  return { kind: 'elements', compute }
}

/** Each matrix as a whole, from both layers' same one. */
export function combine(
  compute: (left: Float32Array, right: Float32Array, t: number) => Float32Array,
): Fill {
  return { kind: 'matrices', compute }
}

/** (1 − t)·left + t·right. */
export function weightedMean(left: number, right: number, t: number): number {
  return (1 - t) * left + t * right
}

export const predicted: Fill = { kind: 'predicted' }

export const transported: Fill = { kind: 'transported' }

export function noiseLike(like: Fill): Fill {
  return { kind: 'noise', like }
}

/** Whether predictors have to be trained for it. */
export function isPredicted(fill: Fill): boolean {
  return fill.kind === 'noise' ? isPredicted(fill.like) : fill.kind === 'predicted'
}

/**
 * Values of the options that decide the layout, each within its bounds, defaults filled in. Of two that exclude each other
 * there is one.
 */
export type LayoutValues<O extends Options> = {
  readonly [
    Key in keyof O as O[Key] extends LayoutOption ? (O[Key] extends Exclusive ? never : Key) : never
  ]: ValueOf<O[Key]>
} & {
  readonly [Key in keyof O as O[Key] extends LayoutOption & Exclusive ? Key : never]?: ValueOf<
    O[Key]
  >
}

interface Exclusive {
  readonly excludes: string
}

export interface LaidOutLayers {
  readonly layers: readonly GrownLayer[]
  /** What follows from the options and belongs in the record beside them. */
  readonly also?: Readonly<Record<string, LayoutValue>>
}

/** How a method's card draws what it does to a model of eight layers. */
export interface MethodDrawing<O extends Options = Options> {
  readonly layout: LayoutValues<O>
  /** On a computed layer. */
  readonly mark?: 'curve' | 'equal' | 'dots'
  /** Layers that come twice: the second time beneath the first, as another model, or bracketed. */
  readonly repeats?: 'beneath' | 'bracketed'
}

/** What a start has to beat: new layers that add nothing, the mean of their neighbours, noise of a prediction's size. */
export const YARDSTICKS = ['zero', 'mean', 'noise'] as const
export type Yardstick = (typeof YARDSTICKS)[number]

/** A growth method: all that is known of it, wherever it is asked for. */
export interface MethodDefinition<Name extends string = string, O extends Options = Options> {
  /** In specs, on the command line and in records. */
  readonly name: Name
  readonly title: string
  /** Who published it. */
  readonly source?: string
  /** `control`: what methods are compared with. */
  readonly group: 'method' | 'control'
  /** In the order of records. */
  readonly options: O
  /** Layers that a model needs for it. */
  readonly minLayers?: number
  /** @param pattern Of the base layers' types; all alike without it. */
  plan(values: LayoutValues<O>, layerCount: number, pattern?: Pattern): LaidOutLayers
  /** For methods whose layouts hold computed layers. */
  readonly fill?: Fill
  /** Whether output matrices are fitted to a calibration text. */
  readonly fitsText?: true
  /** Whether the grown model's logits are the base model's. */
  readonly keepsOutput?: boolean
  /** What other starts are measured against when a verdict is given. */
  readonly yardstick?: Yardstick
  /** What it does: on its card, above its plan, and in the model card (a sentence without its stop). */
  readonly short: string
  readonly long: string
  readonly note: string
  readonly drawing: MethodDrawing<O>
}

/** A method as a value whose name and options are known to the compiler. */
export function defineMethod<const Name extends string, const O extends Options>(
  method: MethodDefinition<Name, O>,
): MethodDefinition<Name, O> {
  return method
}
