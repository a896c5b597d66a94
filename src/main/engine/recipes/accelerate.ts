/** @file `accelerate_fsdp2.yaml`: for those who start processes with Accelerate, or have a script of their own. */
import { GPUS } from './course'
import type { RecipeFiles, RecipeSubject } from './RecipeSubject'

export function accelerateConfig({ dtype }: Pick<RecipeSubject, 'dtype'>): RecipeFiles {
  return {
    'recipes/accelerate_fsdp2.yaml': `# Several GPUs with Accelerate. In the checkpoint's folder:
#   accelerate launch --config_file recipes/accelerate_fsdp2.yaml recipes/train.py --text ... --out ...
# FSDP2 divides each parameter by itself, so that frozen and trained ones may stand side by side; FSDP1 needs
# use_orig_params for that.
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
mixed_precision: ${dtype === 'float32' ? "'no'" : 'bf16'}
num_machines: 1
machine_rank: 0
num_processes: ${GPUS}
main_training_function: main
use_cpu: false
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_cpu_ram_efficient_loading: false
  fsdp_offload_params: false
  fsdp_state_dict_type: SHARDED_STATE_DICT
`,
  }
}
