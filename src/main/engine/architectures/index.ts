/**
 * @file Every model family that can be grown. To support another, write its file beside the others (facts and defaults
 * as in the reference implementation's configuration and modelling files) and add it to the list.
 */
import { AppError } from '@shared/errors'
import { fewOf, shown } from '@shared/text'
import type { Architecture, TensorOrder } from './Architecture'
import type { RawConfig } from './config'
import { unknownLists } from './deepenConfig'
import { arcee } from './arcee'
import { ernie45 } from './ernie45'
import { exaone4 } from './exaone4'
import { gemma2 } from './gemma2'
import { gemma3 } from './gemma3'
import { glm4 } from './glm4'
import { granite } from './granite'
import { hunyuanV1Dense } from './hunyuanV1Dense'
import { llama } from './llama'
import { mixtral } from './mixtral'
import { ministral } from './ministral'
import { ministral3 } from './ministral3'
import { mistral } from './mistral'
import { olmo2 } from './olmo2'
import { olmo3 } from './olmo3'
import { olmoe } from './olmoe'
import { phi3 } from './phi3'
import { qwen2 } from './qwen2'
import { qwen2Moe } from './qwen2Moe'
import { qwen3 } from './qwen3'
import { qwen3Moe } from './qwen3Moe'
import { seedOss } from './seedOss'
import { smollm3 } from './smollm3'

export const ARCHITECTURES: readonly Architecture[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  phi3,
  smollm3,
  granite,
  ministral,
  ministral3,
  seedOss,
  ernie45,
  arcee,
  hunyuanV1Dense,
  olmo2,
  olmo3,
  gemma2,
  gemma3,
  glm4,
  exaone4,
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
]

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

/** Classes of a decoder with another head than the one that predicts the next token. */
const OTHER_HEAD = /For(?!CausalLM)[A-Z]|Reward|Classif/

/**
 * The architecture a config belongs to: `model_type` decides, as in the reference loader, whatever the class is called.
 * Only where there is none, the name of the class does. Another head on the same decoder is another model.
 *
 * @throws AppError `unsupported_architecture`, naming what is supported.
 */
export function architectureOf(rawConfig: RawConfig, file: string): Architecture {
  const found = findArchitecture(rawConfig)
  if (found) return found
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  const supported = ARCHITECTURES.map((each) => each.architectureName).join(', ')
  const actual = [architectureName ?? 'no architecture', modelType ?? 'no model type'].join(', ')
  throw new AppError(
    'unsupported_architecture',
    `Models of this kind cannot be grown: ${actual}.`,
    {
      hint: `Supported are ${supported}.`,
      context: { file, field: 'architectures, model_type', expected: supported, actual },
    },
  )
}

/** What was assumed about the architecture, and what of the config is not followed, a sentence each. */
export function configRemarks(rawConfig: RawConfig, architecture: Architecture): string[] {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  const custom = rawConfig['auto_map']
  const { architectureName: usual, modelType: type } = architecture
  const lists = unknownLists(rawConfig, architecture.configRules)
  return [
    ...(modelType === null
      ? [`config.json has no model_type; by its class the model is of the type ${type}.`]
      : []),
    ...(modelType !== null && architectureName !== null && architectureName !== usual
      ? [`The class ${shown(architectureName)} is read as ${usual}: model_type is ${type}.`]
      : []),
    ...(typeof custom === 'object' && custom !== null && Object.keys(custom).length > 0
      ? [
          `config.json names code of its own (auto_map), which is not run here: the model is computed as ${usual} is.`,
        ]
      : []),
    ...(lists.length > 0
      ? [
          `config.json has ${fewOf(lists)} with as many entries as layers; what is not known to go by layers stays as it is in a grown model.`,
        ]
      : []),
  ]
}

/** The order of a model's tensors; of an unknown architecture, as if it were Llama's. */
export function tensorOrderOf(rawConfig: RawConfig): TensorOrder {
  return findArchitecture(rawConfig) ?? llama
}

function findArchitecture(rawConfig: RawConfig): Architecture | undefined {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  if (architectureName !== null && OTHER_HEAD.test(architectureName)) return undefined
  if (modelType !== null) return ARCHITECTURES.find((each) => each.modelType === modelType)
  const name = architectureName?.toLowerCase()
  return ARCHITECTURES.find((each) => each.architectureName.toLowerCase() === name)
}
