/** @file What can be said of a checkpoint in a few lines. */
import { basename } from 'node:path'
import type { ExpertSummary, ModelSummary } from '@shared/model'
import { shown } from '@shared/text'
import { architectureNamesOf } from '../architectures'
import {
  elementsOf,
  isOutsideDecoder,
  placeInLayers,
  type Architecture,
} from '../architectures/Architecture'
import type { ExpertConfig, ModelConfig, RawConfig } from '../architectures/config'
import { configWithin } from '../architectures/unsupported'
import type { Folder, TensorInfo } from './folder'

type Measured = Pick<
  ModelSummary,
  | 'path'
  | 'parameters'
  | 'decoder_parameters'
  | 'parameters_per_layer'
  | 'dtypes'
  | 'bytes'
  | 'shards'
  | 'tensors'
  | 'has_tokenizer'
>

/** What can be counted of any architecture; of one that is known, its layers are. */
export function measure(
  folder: Folder,
  tensors: ReadonlyMap<string, TensorInfo>,
  layers: number,
  architecture?: Architecture,
): Measured {
  const dtypes: Record<string, number> = {}
  let parameters = 0
  let inDecoder = 0
  let inLayers = 0
  let bytes = 0
  for (const { name, dtype, shape, byteLength } of tensors.values()) {
    const count = shape.reduce((product, dimension) => product * dimension, 1)
    dtypes[dtype] = (dtypes[dtype] ?? 0) + count
    parameters += count
    bytes += byteLength
    if (!architecture || !isOutsideDecoder(architecture, name)) inDecoder += count
    const isInLayer = architecture
      ? placeInLayers(architecture, name) !== null
      : /(?:^|\.)(?:layers|h|blocks)\.\d+\./.test(name)
    if (isInLayer) inLayers += count
  }
  return {
    path: folder.path,
    parameters,
    ...(architecture?.wrapping ? { decoder_parameters: inDecoder } : {}),
    parameters_per_layer: layers > 0 ? Math.round(inLayers / layers) : 0,
    dtypes,
    bytes,
    shards: folder.shards.map((shard) => ({ file: basename(shard.file), bytes: shard.bytes })),
    tensors: tensors.size,
    has_tokenizer: folder.hasTokenizer,
  }
}

/** What there is to say of a mixture of experts. */
export function summarizeExperts(
  architecture: Architecture,
  config: ModelConfig,
  { count, perToken, isSparse, ...sizes }: ExpertConfig,
  {
    parameters,
    parameters_per_layer: perLayer,
  }: Pick<Measured, 'parameters' | 'parameters_per_layer'>,
): ExpertSummary {
  const inExperts = isSparse.map((_, layer) =>
    architecture
      .slotsOf(config, layer)
      .filter(({ expert }) => expert !== null)
      .reduce((sum, { weight }) => sum + elementsOf(weight.shape), 0),
  )
  const idle = inExperts.reduce((sum, own) => sum + own * (1 - perToken / count), 0)
  return {
    count,
    per_token: perToken,
    intermediate_size: sizes.intermediateSize,
    shared_intermediate_size: sizes.sharedIntermediateSize,
    layers: isSparse.filter(Boolean).length,
    active_parameters: Math.round(parameters - idle),
    active_parameters_per_layer: Math.round(perLayer - idle / isSparse.length),
  }
}

/** For a model that cannot be grown here: what its config says where it is well formed, 0 where it is silent. */
export function summarizeForeign(folder: Folder): ModelSummary {
  const { modelType, architectureName } = architectureNamesOf(folder.rawConfig)
  // Of a model that sees or hears, the language part.
  const raw: RawConfig = { ...folder.rawConfig, ...configWithin(folder.rawConfig)?.inner }
  const count = (...keys: string[]): number => {
    const value = keys.map((key) => raw[key]).find((each) => Number.isSafeInteger(each))
    return Math.max(0, Number(value ?? 0))
  }
  const layers = count('num_hidden_layers', 'n_layer', 'num_layers')
  const heads = count('num_attention_heads', 'n_head')
  const positions = count('max_position_embeddings', 'n_positions')
  return {
    ...measure(folder, folder.tensors, layers),
    architecture: shown(architectureName ?? 'unknown'),
    model_type: shown(modelType ?? 'unknown'),
    supported: false,
    num_hidden_layers: layers,
    hidden_size: count('hidden_size', 'n_embd', 'd_model'),
    intermediate_size: count('intermediate_size', 'n_inner', 'ffn_dim'),
    num_attention_heads: heads,
    num_key_value_heads: count('num_key_value_heads') || heads,
    vocab_size: count('vocab_size'),
    max_position_embeddings: positions > 0 ? positions : null,
    tie_word_embeddings: raw['tie_word_embeddings'] === true,
    remarks: folder.remarks,
  }
}
