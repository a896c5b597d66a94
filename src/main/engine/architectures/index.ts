/**
 * @file Every model family that can be grown. To support another, write its file beside the others (facts and defaults
 * as in the reference implementation's configuration and modelling files) and add it to the list.
 */
import { AppError } from '@shared/errors'
import { fewOf, shown } from '@shared/text'
import type { Architecture, TensorOrder, Wrapping } from './Architecture'
import type { RawConfig } from './config'
import { unknownLists } from './deepenConfig'
import { arcee } from './arcee'
import { cwm } from './cwm'
import { ernie45 } from './ernie45'
import { exaone4 } from './exaone4'
import { falconH1 } from './falconH1'
import { gemma } from './gemma'
import { gemma2 } from './gemma2'
import { gemma3 } from './gemma3'
import { gemma3Text } from './gemma3Text'
import { gemma4 } from './gemma4'
import { gemma4Text } from './gemma4Text'
import { glm } from './glm'
import { glm4 } from './glm4'
import { granite } from './granite'
import { helium } from './helium'
import { hunyuanV1Dense } from './hunyuanV1Dense'
import { idefics3 } from './idefics3'
import { internVl } from './internVl'
import { lfm2 } from './lfm2'
import { llama } from './llama'
import { mixtral } from './mixtral'
import { llava } from './llava'
import { llavaNext } from './llavaNext'
import { llavaOnevision } from './llavaOnevision'
import { ministral } from './ministral'
import { ministral3 } from './ministral3'
import { mistral } from './mistral'
import { mistral3 } from './mistral3'
import { olmo2 } from './olmo2'
import { olmo3 } from './olmo3'
import { olmoe } from './olmoe'
import { phi3 } from './phi3'
import { qwen2 } from './qwen2'
import { qwen2Moe } from './qwen2Moe'
import { qwen3Moe } from './qwen3Moe'
import { qwen25Vl } from './qwen25Vl'
import { qwen2Vl } from './qwen2Vl'
import { qwen3 } from './qwen3'
import { qwen35 } from './qwen35'
import { qwen35Text } from './qwen35Text'
import { qwen3Next } from './qwen3Next'
import { qwen3Vl } from './qwen3Vl'
import { seedOss } from './seedOss'
import { smollm3 } from './smollm3'
import { smolVlm } from './smolVlm'
import {
  architectureNamesOf,
  OTHER_CLASS_OF_WRAPPER,
  OTHER_HEAD,
  unsupportedError,
} from './unsupported'
import { vaultGemma } from './vaultGemma'
import { unwrap, type Wrapper } from './wrapped'

export { architectureNamesOf }

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
  gemma,
  gemma2,
  gemma3Text,
  glm,
  glm4,
  exaone4,
  helium,
  vaultGemma,
  cwm,
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
  qwen35Text,
  qwen3Next,
  falconH1,
  gemma4Text,
  lfm2,
]

/** Models that see or hear as well, whose decoder is one of these. */
export const WRAPPERS: readonly Wrapper[] = [
  gemma3,
  mistral3,
  qwen2Vl,
  qwen25Vl,
  qwen3Vl,
  llava,
  llavaNext,
  llavaOnevision,
  idefics3,
  smolVlm,
  internVl,
  qwen35,
  gemma4,
]

/**
 * The architecture a config belongs to: `model_type` decides, as in the reference loader, whatever the class is called.
 * Only where there is none, the name of the class does. Another head on the same decoder is another model.
 *
 * @throws AppError `unsupported_architecture`, saying what is missing and what is supported.
 */
export function architectureOf(rawConfig: RawConfig, file: string): Architecture {
  const wrapper = findWrapper(rawConfig)
  const found = wrapper
    ? unwrap(wrapper, rawConfig, { families: ARCHITECTURES, file })
    : findFamily(rawConfig)
  if (found) return found
  throw unsupportedError(rawConfig, file, [...ARCHITECTURES, ...WRAPPERS])
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
export function tensorOrderOf(
  rawConfig: RawConfig,
): TensorOrder & { readonly wrapping: Wrapping | null } {
  try {
    return architectureOf(rawConfig, 'config.json')
  } catch (error) {
    if (error instanceof AppError) return llama
    throw error
  }
}

function findFamily(rawConfig: RawConfig): Architecture | undefined {
  return find(ARCHITECTURES, rawConfig, OTHER_HEAD)
}

function findWrapper(rawConfig: RawConfig): Wrapper | undefined {
  return find(WRAPPERS, rawConfig, OTHER_CLASS_OF_WRAPPER)
}

function find<T extends Pick<Architecture, 'modelType' | 'architectureName'>>(
  among: readonly T[],
  rawConfig: RawConfig,
  otherHead: RegExp,
): T | undefined {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  if (architectureName !== null && otherHead.test(architectureName)) return undefined
  if (modelType !== null) return among.find((each) => each.modelType === modelType)
  const name = architectureName?.toLowerCase()
  return among.find((each) => each.architectureName.toLowerCase() === name)
}
