/** @file Weights that were quantised, told by the config or by the names that their tensors have. */
import { AppError, type ErrorContext } from '@shared/errors'
import { QUANTISED_HINT, quantisationNamed } from '@system/modelFolder'
import type { Folder } from './folder'

/** What each way of quantising stores beside or instead of a matrix, the telling ones first. */
const TRACES: readonly (readonly [trace: RegExp, method: string])[] = [
  [/\.weight\.(?:quant_state\.bitsandbytes__\w+|quant_map|(?:nested_)?absmax)$/, 'bitsandbytes'],
  [/\.SCB$/, 'bitsandbytes'],
  [/\.weight_packed$/, 'compressed-tensors'],
  [/\.weight_scale_inv$/, 'FP8'],
  [/\.(?:codebooks|codes)$/, 'AQLM'],
  [/\.W_q$/, 'HQQ'],
  [/\.g_idx$/, 'GPTQ'],
  [/\.qweight$/, 'GPTQ or AWQ'],
  [/\.weight(?:_scales?|[:.]_?(?:data|scale)\w*)$/, 'with a scale for each matrix'],
]

/** @throws AppError `unsupported_dtype` when the config says that the weights are quantised. */
export function refuseQuantised({ rawConfig, configFile }: Folder): void {
  const method = quantisationNamed(rawConfig)
  if (method !== null)
    throw quantisedError(method, { file: configFile, field: 'quantization_config' })
}

/** Why tensors do not fit the config, where it is that they were quantised; `null` where nothing tells of that. */
export function quantisedTensors({ tensors }: Folder): AppError | null {
  const names = [...tensors.keys()]
  const place = (tensor: string): ErrorContext => ({
    file: tensors.get(tensor)?.file ?? '',
    tensor,
  })
  for (const [trace, method] of TRACES) {
    const name = names.find((each) => trace.test(each))
    if (name !== undefined) return quantisedError(method, place(name))
  }
  const packed = names.find(
    (name) =>
      tensors.get(name)?.dtype === 'U32' && tensors.has(name.replace(/\.weight$/, '.scales')),
  )
  return packed === undefined ? null : quantisedError('MLX', place(packed))
}

function quantisedError(method: string, context: ErrorContext): AppError {
  return new AppError('unsupported_dtype', `Quantised models (${method}) cannot be grown.`, {
    hint: QUANTISED_HINT,
    context: { ...context, actual: method },
  })
}
