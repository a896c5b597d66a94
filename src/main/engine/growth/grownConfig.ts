import type { OutputDtype } from '@shared/jobs'
import type { ExpansionPlan } from '@shared/plan'
import { untie, type ConfigRules, type RawConfig } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'

const DTYPE_KEYS = ['dtype', 'torch_dtype']
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
  const { configRules } = checkpoint.architecture
  const sources = plan.layers.map(({ source }) => source)
  const config = checkpoint.architecture.deepenConfig(checkpoint.rawConfig, sources)
  // Loaders ask for it; where the base has none, its class told.
  config['model_type'] ??= checkpoint.architecture.modelType
  setDtype(config, options.dtype, configRules.path)
  if (options.untie) untie(config, configRules)
  return config
}

/**
 * The dtype key changes, in the spelling it has, only when the tensors' dtype does. Of a decoder inside another model both
 * its own and the outer one change: the outer one is the type in which loaders compute all of it.
 */
export function setDtype(
  config: Record<string, unknown>,
  dtype: OutputDtype,
  path: ConfigRules['path'],
): void {
  if (dtype === 'keep') return
  const name = DTYPE_NAMES[dtype]
  const spelledIn = (section: object): string[] => DTYPE_KEYS.filter((key) => key in section)
  const inner = path === null ? {} : (config[path] as RawConfig)
  const ofInner = spelledIn(inner).map((key) => [key, name])
  if (path !== null && ofInner.length > 0) {
    config[path] = { ...inner, ...Object.fromEntries(ofInner) }
  }
  const spelled = spelledIn(config)
  for (const key of spelled.length > 0 ? spelled : ['torch_dtype']) config[key] = name
}
