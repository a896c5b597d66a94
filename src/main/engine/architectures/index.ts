/**
 * @file Every model family that can be grown. To support another, write its file beside the others (facts and defaults
 * as in the reference implementation's configuration and modelling files) and add it to the list.
 */
import { AppError } from '@shared/errors'
import type { Architecture, TensorOrder } from './Architecture'
import type { RawConfig } from './config'
import { llama } from './llama'
import { mistral } from './mistral'
import { phi3 } from './phi3'
import { qwen2 } from './qwen2'
import { qwen3 } from './qwen3'

export const ARCHITECTURES: readonly Architecture[] = [llama, mistral, qwen2, qwen3, phi3]

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

/**
 * The architecture a config belongs to. Where it gives both `model_type` and `architectures`, both must agree: another
 * head on the same decoder is another model.
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

/** The order of a model's tensors; of an unknown architecture, as if it were Llama's. */
export function tensorOrderOf(rawConfig: RawConfig): TensorOrder {
  return findArchitecture(rawConfig) ?? llama
}

function findArchitecture(rawConfig: RawConfig): Architecture | undefined {
  const { modelType, architectureName } = architectureNamesOf(rawConfig)
  return ARCHITECTURES.find(
    (each) =>
      (modelType !== null || architectureName !== null) &&
      (modelType ?? each.modelType) === each.modelType &&
      (architectureName ?? each.architectureName) === each.architectureName,
  )
}
