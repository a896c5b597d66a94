/** @file What the recipes for other trainers have in common: paths, and how long and how fast is trained. */
import {
  decaySteps,
  defaultWarmup,
  MAX_DEFAULT_CONTEXT,
  PRETRAIN_DEFAULTS,
} from '@shared/pretraining'
import type { RecipeMachine } from '@shared/recipes'
import type { RecipeSubject } from './RecipeSubject'

/** Relative to the checkpoint's folder, where all commands are run: JSON lines with a field `text`. */
export const CORPUS = '../corpus.jsonl'

/** Windows of a step, on all GPUs together. */
export const BATCH = 64

/** GPUs of one machine, and machines of a cluster, where nobody says. */
export const GPUS = 8
export const NODES = 2

const STEPS = 1000

/** Of the trainers that take no schedule from `recipe.json`; each is meant to be changed. */
export const COURSE = {
  steps: STEPS,
  warmup: defaultWarmup(STEPS),
  decay: decaySteps(STEPS),
  learningRate: PRETRAIN_DEFAULTS.learningRate,
  weightDecay: PRETRAIN_DEFAULTS.weightDecay,
  beta1: PRETRAIN_DEFAULTS.beta1,
  beta2: PRETRAIN_DEFAULTS.beta2,
  clip: PRETRAIN_DEFAULTS.clip,
  seed: PRETRAIN_DEFAULTS.seed,
} as const

/** Tokens of a window where nobody says; as in `recipe.json`. */
export function contextOf({
  maxPositionEmbeddings,
}: Pick<RecipeSubject, 'maxPositionEmbeddings'>): number {
  return Math.min(maxPositionEmbeddings ?? MAX_DEFAULT_CONTEXT, MAX_DEFAULT_CONTEXT)
}

/** As YAML 1.1 and 1.2 both read a number: `0.0002`, never `2e-4`, which the older takes for a text. */
export function decimal(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : value.toFixed(12).replace(/0+$/, '')
}

/** GPUs that each recipe is told for. */
export const MACHINE_GPUS: Readonly<Record<RecipeMachine, number>> = {
  one_gpu: 1,
  several_gpus: GPUS,
  cluster: GPUS * NODES,
}

/** What is typed in the checkpoint's folder. */
export const MACHINE_COMMANDS: Readonly<Record<RecipeMachine, string>> = {
  one_gpu: `python recipes/train.py --text ${CORPUS} --out ../trained --batch ${BATCH}`,
  several_gpus: `torchrun --nproc_per_node ${GPUS} recipes/train.py --text ${CORPUS} --out ../trained --batch ${BATCH}`,
  cluster: `TEXT=${CORPUS} OUT=../trained BATCH=${BATCH} sbatch recipes/train.slurm`,
}
