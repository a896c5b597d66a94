/** @file `axolotl.yaml`: the one large trainer whose configuration takes any list of layers, at full rank. */
import { contextOf, CORPUS, COURSE, BATCH, decimal, GPUS } from './course'
import { axolotlPattern } from './layerNames'
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

/** Keys as axolotl 0.18 (067b021) reads them. */
export function axolotl(subject: RecipeSubject): RecipeFiles {
  const context = contextOf(subject)
  return {
    'recipes/axolotl.yaml': `# Trains the new layers with axolotl, and nothing else. In the checkpoint's folder:
#   axolotl train recipes/axolotl.yaml
base_model: .

# Exactly the new layers. Axolotl makes every dot literal and matches from the name's start: do not escape dots.
unfrozen_parameters:
  - '${axolotlPattern(subject)}'

# JSON lines with a field "text". For more than fits in memory, put in place of datasets:
#   streaming: true
#   pretraining_dataset:
#     - {path: json, data_files: ${CORPUS}, type: pretrain, text_column: text, split: train}
datasets:
  - path: ${CORPUS}
    ds_type: json
    type: completion
    field: text
dataset_prepared_path: ../axolotl-prepared
val_set_size: 0.01

sequence_len: ${context}
sample_packing: true
attn_implementation: flash_attention_2   # packing needs it: with sdpa and bf16 the loss is 0

# ${BATCH} windows a step on ${GPUS} GPUs; for other numbers change gradient_accumulation_steps.
micro_batch_size: 1
gradient_accumulation_steps: ${BATCH / GPUS}
max_steps: ${COURSE.steps}
optimizer: adamw_torch_fused
learning_rate: ${decimal(COURSE.learningRate)}
adam_beta1: ${COURSE.beta1}
adam_beta2: ${COURSE.beta2}
weight_decay: ${COURSE.weightDecay}
max_grad_norm: ${decimal(COURSE.clip)}
lr_scheduler: warmup_stable_decay
lr_scheduler_kwargs:
  num_decay_steps: ${COURSE.decay}
  decay_type: 1-sqrt
warmup_steps: ${COURSE.warmup}
seed: ${COURSE.seed}

bf16: true
gradient_checkpointing: true
gradient_checkpointing_kwargs:
  use_reentrant: false   # with true, frozen layers below cut the gradient off

# Several GPUs. For one, leave both out.
fsdp_version: 2
fsdp_config:
  auto_wrap_policy: TRANSFORMER_BASED_WRAP
  reshard_after_forward: true
  state_dict_type: FULL_STATE_DICT
  cpu_ram_efficient_loading: false   # true mixed up frozen and trained parameters (axolotl PR 3977)

output_dir: ../trained-axolotl
logging_steps: 1
save_steps: ${COURSE.steps / 10}
save_total_limit: 2
eval_steps: ${COURSE.steps / 20}
auto_resume_from_checkpoints: true
`,
  }
}
