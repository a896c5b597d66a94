import type { OutputDtype } from '@shared/jobs'
import type { ExpansionPlan } from '@shared/plan'
import type { Checkpoint } from '../checkpoint/Checkpoint'

const DTYPE_NAMES = { bf16: 'bfloat16', f16: 'float16', f32: 'float32' } as const

/**
 * The config for the new depth.
 *
 * @param options.untie The embeddings are no longer tied to the head.
 */
export function grownConfig(
  checkpoint: Checkpoint,
  plan: ExpansionPlan,
  options: { readonly dtype: OutputDtype; readonly untie: boolean },
): Record<string, unknown> {
  const sources = plan.layers.map(({ source }) => source)
  const config = checkpoint.architecture.deepenConfig(checkpoint.rawConfig, sources)
  // Loaders ask for it; where the base has none, its class told.
  config['model_type'] ??= checkpoint.architecture.modelType
  setDtype(config, options.dtype)
  if (options.untie) config['tie_word_embeddings'] = false
  return config
}

/** The dtype key changes, in the spelling it has, only when the tensors' dtype does. */
export function setDtype(config: Record<string, unknown>, dtype: OutputDtype): void {
  if (dtype === 'keep') return
  const spellings = ['dtype', 'torch_dtype'].filter((key) => key in config)
  for (const key of spellings.length > 0 ? spellings : ['torch_dtype']) {
    config[key] = DTYPE_NAMES[dtype]
  }
}
