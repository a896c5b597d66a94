import { z } from 'zod'
import { modelNameOf } from '../hub'
import type { RequestedKind } from './kind'
import { path, type TensorDtype } from './output'

/** Recognise a checkpoint that was trained elsewhere by the grown one that its training began from, and say what changed. */
export const descentSpecSchema = z.object({
  kind: z.literal('descent'),
  trained: path,
  /** The grown checkpoint, with its `lesa.json`. */
  start: path,
})
export type DescentSpec = z.infer<typeof descentSpecSchema>

/**
 * How weights differ from those that they were before, over all elements as float32. Where the trained model stores them
 * in a narrower element type, the start's are rounded to it first: storing is no training. Elements that are not finite
 * are left out.
 */
export interface WeightChange {
  /** ‖trained − start‖, Euclidean. */
  readonly change: number
  /** ‖start‖. */
  readonly norm: number
  /** `change` over `norm`; `null` where the start is zero. */
  readonly relative: number | null
  /** Largest |trained − start|. */
  readonly max: number
}

/** Of one weight type (`q_proj`), or another tensor of a layer (`input_layernorm`, `self_attn.q_proj.bias`). */
export interface PartChange extends WeightChange {
  readonly part: string
}

/** What became of one layer. */
export interface LayerChange extends WeightChange {
  readonly layer: number
  readonly is_new: boolean
  /** Whether any element differs. */
  readonly is_changed: boolean
  /** Weight types in their order, then the other tensors; empty for an original layer that is as it was. */
  readonly parts: readonly PartChange[]
}

/** Of a tensor outside the layers. */
export interface TensorChange extends WeightChange {
  readonly tensor: string
}

/** The names are those of the command line's JSON. */
export interface DescentResult {
  readonly kind: 'descent'
  readonly trained: string
  readonly start: string
  readonly architecture: string
  readonly num_hidden_layers: number
  readonly new_layers: readonly number[]
  /** One for each layer. The norms of an original that is as it was are not measured: they are 0 there. */
  readonly layers: readonly LayerChange[]
  /** Tensors outside the layers that changed. */
  readonly outside: readonly TensorChange[]
  /** Tensors outside the new layers: those that are the same bit by bit, and those that are once they are converted. */
  readonly identical: number
  readonly converted: number
  /** Stored element types of the weights. */
  readonly dtypes: { readonly start: readonly string[]; readonly trained: readonly string[] }
  /** What the originals were rounded to on the way, although the trained model stores them wider. */
  readonly rounded_to: TensorDtype | null
  /** Tensors of the trained model with NaN or infinities, the first few. */
  readonly non_finite: readonly string[]
  readonly warnings: readonly string[]
  readonly seconds: number
}

export const descent: RequestedKind<DescentSpec, DescentResult> = {
  kind: 'descent',
  schema: descentSpecSchema,
  lane: 'light',
  mapPaths: (spec, at) => ({
    ...spec,
    trained: at(spec.trained, 'reads'),
    start: at(spec.start, 'reads'),
  }),
  title: ({ trained }, run) =>
    `${run === undefined ? 'Comparing' : `${run}: comparing`} ${modelNameOf(trained)} with its start`,
  doing: 'comparing weights',
}
