/** @file What the recipes know of a grown model: names and shapes, nothing of its weights. */
import type { Method } from '@shared/methods'

/** A parameter as PyTorch names it: the module's path, and its shape. */
export interface RecipeParameter {
  readonly name: string
  readonly shape: readonly number[]
}

/** Where a layer of the grown model comes from, as `layers` of `lesa.json` says it. */
export interface RecipeLayer {
  /** `original`, `copy`, `identity`, or the name of the method that computed it. */
  readonly kind: string
  /** The base layer that it is or was made from; `null` for one that was computed from two. */
  readonly source: number | null
}

/** A grown checkpoint that recipes are written for, wherever it lies: its folder may be renamed. */
export interface RecipeSubject {
  /** The base model's name: an id on the hub, or a folder's name. */
  readonly baseModel: string
  readonly method: Method
  /** `architectures[0]`: `LlamaForCausalLM`. */
  readonly architectureName: string
  /** Of the modules: `model.layers.` */
  readonly layerPrefix: string
  /**
   * Of a decoder inside a model that sees or hears: what begins names of modules, and what begins the same names in the
   * files. `null` where the decoder is all there is.
   */
  readonly storedNames: Readonly<Record<string, string>> | null
  readonly layersBefore: number
  /** One for each layer of the grown model. */
  readonly layers: readonly RecipeLayer[]
  /** Indices of those that the base does not have, ascending; never empty. */
  readonly newLayers: readonly number[]
  /** All parameters of the new layers, in the files' order. */
  readonly trained: readonly RecipeParameter[]
  /** Elements of all parameters, tied ones once. */
  readonly parameters: number
  /** Elements of `trained`. */
  readonly trainedParameters: number
  /** Whether the new layers' output matrices, or the gains of norms behind them, are zero, so that the grown model answers as the base does. */
  readonly startsFromZero: boolean
  /** Factor of the new layers' output matrices when they were written; 1 unless they were damped. */
  readonly damp: number
  /** Whether the new layers were trained since, so that copies are copies no more. */
  readonly isTrained: boolean
  /** Of the stored weights, as PyTorch names it: `bfloat16`, `float16`, `float32`. */
  readonly dtype: string
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly vocabSize: number
  readonly numAttentionHeads: number
  readonly maxPositionEmbeddings: number | null
}

/** Paths within the checkpoint's folder (`recipes/train.py`), and what the files hold. */
export type RecipeFiles = Readonly<Record<string, string>>
