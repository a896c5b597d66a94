/** @file The command for ms-swift, which takes the new layers as a regular expression. */
import { BATCH, contextOf, CORPUS, COURSE, decimal, GPUS } from './course'
import { newLayersRegex } from './layerNames'
import type { RecipeSubject } from './RecipeSubject'

/** Flags as ms-swift 4.6 (3602360) reads them: everything is frozen, then what the expression finds is not. */
export function swiftCommand(subject: RecipeSubject): string {
  return [
    `NPROC_PER_NODE=${GPUS} swift pt --model . --tuner_type full`,
    `--freeze_parameters_ratio 1 --trainable_parameters_regex '${newLayersRegex(subject)}'`,
    `--dataset ${CORPUS} --split_dataset_ratio 0.01 --truncation_strategy split --packing true --attn_impl flash_attn`,
    `--max_length ${contextOf(subject)} --per_device_train_batch_size 1 --gradient_accumulation_steps ${BATCH / GPUS}`,
    `--max_steps ${COURSE.steps} --learning_rate ${decimal(COURSE.learningRate)} --warmup_ratio ${COURSE.warmup / COURSE.steps}`,
    '--torch_dtype bfloat16 --output_dir ../trained-swift',
  ].join(' \\\n  ')
}
