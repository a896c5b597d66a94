/** @file The values of a layer's tables: what its graph takes that depends on nothing but its shape and the tokens' places. */
import type { ModelConfig } from '../architectures/config'
import type { Runtime, Tensor } from '../onnx/Runtime'
import { attentionMask, ropeOf, tableShapes, type LayerShape, type TableName } from './decoderLayer'
import { queryGrowth, ropeTables } from './rope'

export interface TablePlaces {
  /** Tokens of the longest sequence, without padding; some angles depend on it. */
  readonly tokens: number
  /** The position of the first token. */
  readonly first?: number
}

/**
 * The tables of a shape as `tableShapes` names them.
 *
 * @param mask In place of the shape's own.
 */
export function layerTables(
  runtime: Runtime,
  config: ModelConfig,
  shape: LayerShape,
  { tokens, first = 0 }: TablePlaces,
  mask?: Tensor,
): Readonly<Record<string, Tensor>> {
  const rope = ropeOf(config, shape)
  const angles = rope && ropeTables({ rope }, shape.length, tokens, first)
  const values: Record<Exclude<TableName, 'mask'>, () => Float32Array> = {
    cos: () => angles?.cos ?? new Float32Array(0),
    sin: () => angles?.sin ?? new Float32Array(0),
    growth: () =>
      config.queryGrowth
        ? queryGrowth(config.queryGrowth, shape.length, first)
        : new Float32Array(0),
  }
  return Object.fromEntries(
    tableShapes(config, shape).map(([name, dims]) => {
      if (name !== 'mask') return [name, runtime.float32(values[name](), dims)]
      return [name, mask ?? runtime.float32(attentionMask(shape), dims)]
    }),
  )
}
