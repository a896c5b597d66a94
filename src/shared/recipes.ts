/** @file What stands in a checkpoint's `recipes/`: for a person to choose from, copy, and run elsewhere. */

/** The machines that a recipe is for. */
export const RECIPE_MACHINES = ['one_gpu', 'several_gpus', 'cluster'] as const
export type RecipeMachine = (typeof RECIPE_MACHINES)[number]

/** Bytes that a training takes on each GPU, by what they are for. */
export interface RecipeMemory {
  /** GPUs that the weights are divided among. */
  readonly gpus: number
  readonly frozen: number
  /** The trained layers' weights and gradients. */
  readonly trained: number
  /** AdamW's two moments. */
  readonly optimizer: number
  /** For one window of `context` tokens. */
  readonly activations: number
  readonly total: number
}

/** One recipe: what is typed, where, and what it needs. */
export interface Recipe {
  readonly machine: RecipeMachine
  /** Lines of a shell, to be run in the checkpoint's folder. */
  readonly command: string
  readonly memory: RecipeMemory
}

/** What *What next* shows of a checkpoint. */
export interface RecipeOverview {
  /** Absolute: the folder `recipes`. */
  readonly folder: string
  /** Names within it, in the order in which they are explained. */
  readonly files: readonly string[]
  /** Tokens of a window that the memory is told for. */
  readonly context: number
  /** One for each machine, in the order of `RECIPE_MACHINES`. */
  readonly recipes: readonly Recipe[]
}
