/** @file What models have that cannot be grown: a family that is not in the list is refused by what it lacks here. */
import { AppError } from '@shared/errors'
import { shown } from '@shared/text'
import { quantisationOf } from '@system/modelFolder'
import { objectOf } from '@system/peek'
import type { Architecture } from './Architecture'
import type { RawConfig } from './config'

/** What stands in the way, to be read after the model's name. */
interface Obstacle {
  /** `has …` or `is …`. */
  readonly clause: string
  /** Whether it is no decoder that predicts the next token, which no further work would change. */
  readonly isOther?: boolean
}

/** What is supported, a family or what wraps one. */
type Supported = Pick<Architecture, 'modelType' | 'architectureName'>

interface TypedObstacle extends Obstacle {
  /** As `model_type` names them. */
  readonly types: readonly string[]
}

const ENCODER_DECODER = 'is an encoder with a decoder behind it'

/** By `model_type`, from the modelling code of the reference and, where it has none, of the models' own repositories. */
export const BY_TYPE: readonly TypedObstacle[] = [
  {
    clause: 'has layers with linear attention',
    types: ['olmo_hybrid'],
  },
  {
    clause: 'has layers with linear attention, and experts',
    types: [
      'qwen3_5_moe',
      'qwen3_5_moe_text',
      'qwen4_exp',
      'qwen4_exp_text',
      'kimi_linear',
      'minimax',
      'minimax_text_01',
    ],
  },
  {
    clause: 'has state-space layers (Mamba)',
    types: ['mamba', 'mamba2', 'falcon_mamba'],
  },
  {
    clause: 'has state-space layers (Mamba) beside attention',
    types: [
      'nemotron_h',
      'granitemoehybrid',
      'bamba',
      'jamba',
      'zamba',
      'zamba2',
      'plamo2',
      'phi4flash',
    ],
  },
  { clause: 'has recurrent layers', types: ['recurrent_gemma', 'rwkv', 'xlstm'] },
  { clause: 'has layers with short convolutions, and experts', types: ['lfm2_moe'] },
  {
    clause: 'has embeddings for every layer, and layers that share keys and values',
    types: ['gemma3n', 'gemma3n_text'],
  },
  {
    clause:
      'has layers that differ in shape, share keys and values or have embeddings of their own',
    types: ['gemma4_unified', 'gemma4_unified_text'],
  },
  { clause: 'has attention sinks', types: ['granite_swa'] },
  {
    clause: 'has attention sinks, and experts with biases and bounds',
    types: ['gpt_oss'],
  },
  {
    clause: 'has attention sinks, and experts',
    types: ['deepseek_v4', 'granitemoe_swa', 'mimo_v2_flash'],
  },
  { clause: 'has latent attention', types: ['minicpm3', 'youtu'] },
  {
    clause: 'has latent attention, and experts',
    types: ['deepseek_v2', 'mistral4', 'longcat_flash'],
  },
  {
    clause: 'has latent attention, and experts behind a router with sigmoids and a bias',
    types: ['deepseek_v3', 'deepseek_v32', 'kimi_k2', 'kimi_k25', 'glm4_moe_lite', 'glm_moe_dsa'],
  },
  {
    clause: 'has experts behind a router with sigmoids and a bias',
    types: ['glm4_moe', 'dots1', 'exaone_moe', 'minimax_m2', 'afmoe', 'solar_open', 'hy_v3'],
  },
  {
    clause: 'has experts of a kind that is not read',
    types: [
      'dbrx',
      'ernie4_5_moe',
      'flex_olmo',
      'granitemoe',
      'granitemoeshared',
      'hunyuan_v1_moe',
      'jetmoe',
      'mellum',
      'phimoe',
    ],
  },
  {
    clause: 'has experts, and layers without positions that attend in chunks',
    types: ['llama4', 'llama4_text'],
  },
  {
    clause: 'has attention and MLP side by side (parallel blocks)',
    types: [
      'cohere',
      'cohere2',
      'codegen',
      'falcon',
      'gpt_neox',
      'gpt_neox_japanese',
      'gptj',
      'phi',
    ],
  },
  {
    clause: 'has norms that subtract the mean (LayerNorm)',
    types: ['nemotron', 'olmo', 'persimmon', 'stablelm', 'starcoder2', 'jais2'],
  },
  {
    clause: 'has learned positions, and norms that subtract the mean (LayerNorm)',
    types: ['biogpt', 'gpt2', 'gpt_bigcode', 'gpt_neo', 'openai_gpt', 'opt'],
  },
  { clause: 'has positions as slopes of the scores (ALiBi)', types: ['bloom', 'mpt'] },
  { clause: 'has an activation with learned parameters (xIELU)', types: ['apertus'] },
  { clause: 'has norms without weights', types: ['nanochat'] },
  { clause: 'has ternary weights', types: ['bitnet'] },
  { clause: 'has differential attention', types: ['diffllama'] },
  {
    clause: 'is an encoder, which predicts no next token',
    isOther: true,
    types: [
      'albert',
      'bert',
      'camembert',
      'deberta',
      'deberta_v2',
      'distilbert',
      'electra',
      'ernie',
      'esm',
      'eurobert',
      'modernbert',
      'mpnet',
      'nomic_bert',
      'roberta',
      'xlm_roberta',
    ],
  },
  {
    clause: ENCODER_DECODER,
    isOther: true,
    types: [
      'bart',
      'blenderbot',
      'longt5',
      'm2m_100',
      'marian',
      'mbart',
      'mt5',
      'pegasus',
      'switch_transformers',
      't5',
      't5gemma',
      't5gemma2',
      'umt5',
      'whisper',
    ],
  },
]

/** By the keys of the config, of types that the table does not have; the first that are there. */
const BY_KEY: readonly (Obstacle & { readonly keys: readonly string[] })[] = [
  {
    clause: 'has layers with linear attention',
    keys: ['linear_num_value_heads', 'linear_attn_config', 'lightning_attention'],
  },
  {
    clause: 'has state-space layers',
    keys: ['mamba_d_state', 'ssm_state_size', 'ssm_cfg', 'hybrid_override_pattern'],
  },
  { clause: 'has latent attention', keys: ['kv_lora_rank'] },
  {
    clause: 'has experts of a kind that is not read',
    keys: ['num_experts', 'num_local_experts', 'n_routed_experts', 'moe_num_experts'],
  },
]

/** Keys under which a config has that of a text model within it. */
const WITHIN = ['text_config', 'llm_config', 'language_config'] as const

/** The config of a text model within that of a model that sees or hears, and its key; `null` where there is none. */
export function configWithin(
  rawConfig: RawConfig,
): { readonly key: string; readonly inner: RawConfig } | null {
  const key = WITHIN.find((each) => objectOf(rawConfig[each]) !== null)
  const inner = key && objectOf(rawConfig[key])
  return inner ? { key, inner } : null
}

/** Classes of a decoder with another head than the one that predicts the next token. */
export const OTHER_HEAD = /For(?!CausalLM)[A-Z]|Reward|Classif/
/** The same of one that sees; those that bring a class for text with them are built otherwise. */
export const OTHER_CLASS_OF_WRAPPER = /For(?!ConditionalGeneration)[A-Z]|Reward|Classif/

/** What `model_type` and `architectures` of a config say, where they are well formed. */
export function architectureNamesOf(rawConfig: RawConfig): {
  modelType: string | null
  architectureName: string | null
} {
  const modelType = rawConfig['model_type']
  const architectures = rawConfig['architectures']
  const first: unknown = Array.isArray(architectures) ? architectures[0] : undefined
  return {
    modelType: typeof modelType === 'string' ? modelType : null,
    architectureName: typeof first === 'string' ? first : null,
  }
}

/** Why none of the families reads this config, as far as that is known, and which there are. */
export function unsupportedError(
  rawConfig: RawConfig,
  file: string,
  families: readonly Supported[],
): AppError {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  const actual = [architectureName ?? 'no architecture', modelType ?? 'no model type'].join(', ')
  const found =
    otherClass(rawConfig, families) ?? obstacleWithin(rawConfig, families) ?? obstacleOf(rawConfig)
  const isYet = found !== null && found.isOther !== true
  const what = found ? `${shown(architectureName ?? modelType ?? '', 80)} ${found.clause}` : actual
  const quantised = quantisationOf(rawConfig)
  const also = quantised === null ? '' : `; its weights are quantised as well (${quantised.method})`
  return new AppError(
    'unsupported_architecture',
    `Models of this kind cannot be grown${isYet ? ' yet' : ''}: ${what}${also}.`,
    {
      hint: `Supported are ${supportedNames(families)}, with the head that predicts the next token.`,
      context: {
        file,
        field: found?.field ?? 'architectures, model_type',
        expected: `one of ${families.length} supported families`,
        actual,
      },
    },
  )
}

/** Class names without what all have in common, in alphabetical order. */
function supportedNames(families: readonly Supported[]): string {
  const names = families.map(({ architectureName }) =>
    architectureName.replace(/For[A-Z]\w*$/, '').replaceAll('_', '.'),
  )
  return [...new Set(names)].sort().join(', ')
}

interface Located extends Obstacle {
  /** The key of the config that shows it. */
  readonly field: string
}

/** Of a class that is not the supported one of its type. */
function otherClass(rawConfig: RawConfig, families: readonly Supported[]): Located | null {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  const type = modelType ?? typeOfClass(architectureName)
  const family = families.find((each) => plain(each.modelType) === plain(type))
  if (!family || architectureName === null) return null
  const isDecoder = !OTHER_HEAD.test(family.architectureName)
  const others = isDecoder ? OTHER_HEAD : OTHER_CLASS_OF_WRAPPER
  if (!others.test(architectureName)) return null
  const clause = isDecoder
    ? 'has another head than the one that predicts the next token'
    : `is built otherwise than ${family.architectureName}`
  return { clause, isOther: true, field: 'architectures' }
}

/** Of a config that holds that of a text model; `null` for others. */
function obstacleWithin(rawConfig: RawConfig, families: readonly Supported[]): Located | null {
  const within = configWithin(rawConfig)
  if (!within) return null
  const { key, inner } = within
  const { modelType, architectureName } = architectureNamesOf(inner)
  const type = shown(modelType ?? architectureName ?? 'that is not named', 80)
  const isKnown = families.some((family) => family.modelType === modelType)
  const found = isKnown ? null : obstacleOf(inner)
  const rest = isKnown ? 'which can be grown where it stands by itself' : 'which is not known'
  const clause = `holds a text model of the type ${type}, ${found ? `which ${found.clause}` : rest}`
  return { clause, field: `${key}.${found?.field ?? 'model_type'}` }
}

function obstacleOf(rawConfig: RawConfig): Located | null {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  const type = plain(modelType ?? typeOfClass(architectureName))
  const byType = BY_TYPE.find(({ types }) => types.some((each) => plain(each) === type))
  if (byType) return { ...byType, field: modelType === null ? 'architectures' : 'model_type' }
  for (const { keys, ...obstacle } of BY_KEY) {
    const field = keys.find((key) => rawConfig[key] !== undefined && rawConfig[key] !== null)
    if (field !== undefined) return { ...obstacle, field }
  }
  if (rawConfig['is_encoder_decoder'] === true) {
    return { clause: ENCODER_DECODER, isOther: true, field: 'is_encoder_decoder' }
  }
  const custom = objectOf(rawConfig['auto_map'])
  return custom && Object.keys(custom).length > 0
    ? { clause: 'is computed by code of its own', field: 'auto_map' }
    : null
}

function typeOfClass(architectureName: string | null): string | null {
  return architectureName?.replace(/(?:For[A-Z]|LMHead|Model).*$/, '') ?? null
}

/** Without case and separators, in which spellings differ. */
function plain(name: string | null): string | undefined {
  return name?.toLowerCase().replace(/[^a-z0-9]/g, '')
}
