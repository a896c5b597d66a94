/** @file `llamafactory.yaml`: full rank where LLaMA-Factory can name the layers, LoRA where it cannot. */
import { BATCH, contextOf, CORPUS, COURSE, decimal, GPUS } from './course'
import { linearModules } from './layerNames'
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

/**
 * Whether the new layers are those that `use_llama_pro` trains: the last of `n` groups of equal size
 * (`model/adapter.py` at ff6d4d1).
 */
export function hasProStride({
  layers,
  newLayers,
}: Pick<RecipeSubject, 'layers' | 'newLayers'>): boolean {
  const size = layers.length / newLayers.length
  return (
    Number.isInteger(size) && newLayers.every((layer, index) => layer === (index + 1) * size - 1)
  )
}

/** Keys as LLaMA-Factory 0.9.6 (ff6d4d1) reads them. */
export function llamaFactory(subject: RecipeSubject): RecipeFiles {
  const dataset = { corpus: { file_name: `../${CORPUS}`, columns: { prompt: 'text' } } }
  return {
    'recipes/dataset_info.json': `${JSON.stringify(dataset, null, 2)}\n`,
    'recipes/llamafactory.yaml': `# Trains the new layers with LLaMA-Factory. In the checkpoint's folder:
#   llamafactory-cli train recipes/llamafactory.yaml
model_name_or_path: .

stage: pt
do_train: true
${hasProStride(subject) ? freeze(subject) : lora(subject)}

# recipes/dataset_info.json says that "corpus" is ${CORPUS}, whose texts are in the field "text".
dataset_dir: recipes
dataset: corpus
cutoff_len: ${contextOf(subject)}
packing: true
val_size: 0.01

# ${BATCH} windows a step on ${GPUS} GPUs; for other numbers change gradient_accumulation_steps.
per_device_train_batch_size: 1
gradient_accumulation_steps: ${BATCH / GPUS}
max_steps: ${COURSE.steps}
learning_rate: ${decimal(COURSE.learningRate)}
adam_beta2: ${COURSE.beta2}
weight_decay: ${COURSE.weightDecay}
max_grad_norm: ${decimal(COURSE.clip)}
lr_scheduler_type: warmup_stable_decay
lr_scheduler_kwargs: {num_decay_steps: ${COURSE.decay}}
warmup_steps: ${COURSE.warmup}
seed: ${COURSE.seed}
bf16: true

output_dir: ../trained-llamafactory
logging_steps: 1
save_steps: ${COURSE.steps / 10}
eval_strategy: steps
eval_steps: ${COURSE.steps / 20}
per_device_eval_batch_size: 1
report_to: none
`,
  }
}

function freeze({ newLayers }: RecipeSubject): string {
  return `# The new layers are the last of ${newLayers.length} groups of equal size: what use_llama_pro trains, at full rank.
finetuning_type: freeze
use_llama_pro: true
freeze_trainable_layers: ${newLayers.length}
freeze_trainable_modules: all`
}

function lora(subject: RecipeSubject): string {
  return `# LoRA on the new layers' modules by their full names. At full rank LLaMA-Factory trains the first or the last
# layers, or with use_llama_pro the last of equal groups; the new layers here (${subject.newLayers.join(', ')})
# are neither. For full rank take train.py or axolotl.yaml.
finetuning_type: lora
lora_rank: 64
lora_target: ${linearModules(subject).join(',')}`
}
