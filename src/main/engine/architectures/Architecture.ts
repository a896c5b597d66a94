/**
 * @file What the product knows about a model family, as a plain value. A family's file says which modules a layer has and
 * which matrices ("slots") lie in them; names, shapes, places and rules for depth are derived here.
 */
import type { ConfigRules, ModelConfig, RawConfig } from './config'
import { deepenConfig } from './deepenConfig'

/** What a tensor of a decoder layer is for. */
export type LayerTensorRole = 'weight' | 'bias' | 'norm' | 'qk_norm'

/** One tensor that every decoder layer of a model has. */
export interface LayerTensor {
  /** Name within the layer: `self_attn.q_proj.weight`. */
  readonly suffix: string
  readonly role: LayerTensorRole
  readonly shape: readonly number[]
}

/**
 * A stretch of a layer's tensor, row-major: all of it, some rows of a fused one, or one expert's part of a stacked one.
 */
export interface Span {
  /** Name within the layer. */
  readonly tensor: string
  /** Its first element's place in the tensor. */
  readonly offset: number
  readonly shape: readonly number[]
}

/** A matrix of a decoder layer that is predicted on its own, wherever the family's files keep it. */
export interface Slot {
  /** `q_proj`. Results, series and options go by it. */
  readonly id: string
  /** Shape `[rows, width]`. */
  readonly weight: Span
  /** Shape `[rows]`; `null` where there is none. */
  readonly bias: Span | null
  /** Shape `[rows]`: the weight of a norm over all that the matrix gives; `null` where there is none. */
  readonly gain: Span | null
}

/** A vector that goes by the rows of a slot's matrix. */
export type RowPart = 'bias' | 'gain'

/** When a projection has a bias: always, or when the config's flag of this name is set. */
export type BiasRule = 'always' | 'attentionBias' | 'outputBias' | 'mlpBias'

/** A linear map of a layer, by its name in the files. */
export interface LinearModule {
  /** `self_attn.qkv_proj` */
  readonly name: string
  /** Whose rows it holds, one after another; more than one in a fused tensor. */
  readonly slots: readonly string[]
  readonly bias: BiasRule | null
}

/** A norm's weight: of hidden size, of the size of a head, or a slot's id for one over all rows of that slot. */
export interface NormModule {
  readonly name: string
  readonly of: 'hidden' | 'head' | 'q_proj' | 'k_proj'
}

/** How a norm computes: `rms`, x·rsqrt(mean(x²) + eps)·weight; `rms_plus_one`, with 1 + weight. */
export type NormKind = 'rms' | 'rms_plus_one'

/** Norms of queries and keys. */
export interface QueryKeyNorms {
  readonly queries: string
  readonly keys: string
  /** Each head, before or after it is turned by its position, or all heads together, before. */
  readonly over: 'head' | 'turned_head' | 'projection'
}

/** What the forward pass asks of a family. Norms go by their modules' names. A layer without `gate_proj` has no gate. */
export interface ForwardRules {
  readonly norm: NormKind
  /** Over the stream before a branch; `null` where the branch takes it as it is. */
  readonly beforeAttention: string | null
  readonly beforeMlp: string | null
  /** Over what a branch gives, before it is added; `null` without. */
  readonly afterAttention: string | null
  readonly afterMlp: string | null
  readonly queryKeyNorms: QueryKeyNorms | null
  /** Which elements of a head turn together: i and i + d/2 of d, or 2i and 2i + 1. */
  readonly ropePairs: 'halves' | 'neighbours'
}

/** Names in the files outside the layers, and what comes before a layer's number. */
export interface TensorNames {
  /** `model.layers.` */
  readonly layerPrefix: string
  readonly embedTokens: string
  readonly finalNorm: string
  /** Absent from the file when the embeddings are tied. */
  readonly lmHead: string
}

/** The order of a model's tensors in its reference modules. */
export interface TensorOrder extends TensorNames {
  /** Of a layer. */
  readonly modules: readonly (LinearModule | NormModule)[]
}

/** What a family's file says. */
export interface Family {
  /** `model_type` of the config. */
  readonly modelType: string
  /** `architectures[0]` of the config. */
  readonly architectureName: string
  readonly names: TensorNames
  /** As the reference declares them, which is the order of a state dict. */
  readonly modules: readonly (LinearModule | NormModule)[]
  /** The shape of every slot, in the order in which they are computed, listed and drawn. */
  readonly slots: Readonly<Record<string, (config: ModelConfig) => readonly [number, number]>>
  /**
   * Slots whose products are added to the residual stream: scaled by a factor, a block adds that much less; zero, with
   * their biases, they make it the identity.
   */
  readonly residualWriters: readonly string[]
  readonly config: Omit<ConfigRules, 'modelType' | 'architectureName'>
  readonly forward: ForwardRules
}

/** Everything the product knows about one model family. */
export interface Architecture extends Family, TensorOrder {
  readonly configRules: ConfigRules
  /**
   * What scales all that a layer adds to the residual stream, full name within the layer: the matrices that write to it and
   * their biases; where norms stand behind them, which take their scale out, those norms' weights.
   */
  readonly residualScales: readonly string[]
  /** The value of {@link residualScales} with which a layer adds nothing: what a LLaMA Pro block sets them to. */
  readonly silentValue: number
  /** Whether norms stand behind the matrices that write to the residual stream. */
  readonly hasPostNorms: boolean
  /** The tensors each layer must have under this config, with their shapes, in state-dict order. */
  layerTensors(config: ModelConfig): readonly LayerTensor[]
  /** The matrices that are predicted, and where each lies. */
  slotsOf(config: ModelConfig): readonly Slot[]
  /**
   * The config of a model with `sources.length` layers; layer `j` takes its attention type from layer `sources[j]` of
   * the base. Only what depends on depth is changed; every other key keeps its spelling and its value.
   */
  deepenConfig(rawConfig: RawConfig, sources: readonly number[]): Record<string, unknown>
}

/** Derives what follows from a family's description. */
export function defineArchitecture(family: Family): Architecture {
  const { modules, residualWriters, names } = family
  const configRules: ConfigRules = {
    modelType: family.modelType,
    architectureName: family.architectureName,
    ...family.config,
  }
  const { afterAttention, afterMlp, norm } = family.forward
  const postNorms = [afterAttention, afterMlp].filter((name) => name !== null)
  const hasPostNorms = postNorms.length > 0
  const writers = modules
    .filter(isLinear)
    .filter(({ slots }) => slots.every((id) => residualWriters.includes(id)))
    .flatMap(({ name, bias }) => [`${name}.weight`, ...(bias === null ? [] : [`${name}.bias`])])
  return {
    ...family,
    ...names,
    configRules,
    residualScales: hasPostNorms ? postNorms.map((name) => `${name}.weight`) : writers,
    silentValue: hasPostNorms && norm === 'rms_plus_one' ? -1 : 0,
    hasPostNorms,
    layerTensors: (config) => modules.flatMap((module) => tensorsOf(family, module, config)),
    slotsOf: (config) => slotsOf(family, config),
    deepenConfig: (rawConfig, sources) => deepenConfig(rawConfig, sources, configRules),
  }
}

/** What of its slots lies in a layer's tensor, in the order of its elements; empty when it holds none. */
export function partsOf(
  slots: readonly Slot[],
  part: 'weight' | RowPart,
  tensor: string,
): readonly { readonly id: string; readonly span: Span }[] {
  return slots
    .flatMap(({ id, [part]: span }) => (span?.tensor === tensor ? [{ id, span }] : []))
    .sort((a, b) => a.span.offset - b.span.offset)
}

/** The layer that a tensor belongs to, and its name within it; `null` for those outside the layers. */
export function placeInLayers(
  { layerPrefix }: TensorNames,
  name: string,
): { readonly layer: number; readonly suffix: string } | null {
  if (!name.startsWith(layerPrefix)) return null
  const match = /^(\d+)\.(.+)$/.exec(name.slice(layerPrefix.length))
  return match?.[1] && match[2] ? { layer: Number(match[1]), suffix: match[2] } : null
}

/** Elements of a tensor of this shape. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1)
}

function isLinear(module: LinearModule | NormModule): module is LinearModule {
  return 'slots' in module
}

function hasBias({ bias }: LinearModule, config: ModelConfig): boolean {
  return bias === 'always' || (bias !== null && config[bias])
}

function tensorsOf(
  family: Family,
  module: LinearModule | NormModule,
  config: ModelConfig,
): LayerTensor[] {
  if (!isLinear(module)) {
    const suffix = `${module.name}.weight`
    if (module.of === 'hidden') return [{ suffix, role: 'norm', shape: [config.hiddenSize] }]
    const size = module.of === 'head' ? config.headDim : shapeOf(family, module.of, config)[0]
    return [{ suffix, role: 'qk_norm', shape: [size] }]
  }
  const shapes = module.slots.map((id) => shapeOf(family, id, config))
  const rows = shapes.reduce((sum, [count]) => sum + count, 0)
  const width = shapes[0]?.[1] ?? 0
  const bias: LayerTensor = { suffix: `${module.name}.bias`, role: 'bias', shape: [rows] }
  return [
    { suffix: `${module.name}.weight`, role: 'weight', shape: [rows, width] },
    ...(hasBias(module, config) ? [bias] : []),
  ]
}

function slotsOf(family: Family, config: ModelConfig): Slot[] {
  const found = new Map<string, Slot>()
  for (const module of family.modules.filter(isLinear)) {
    let row = 0
    for (const id of module.slots) {
      const shape = shapeOf(family, id, config)
      const [rows, width] = shape
      const weight = { tensor: `${module.name}.weight`, offset: row * width, shape }
      const bias = { tensor: `${module.name}.bias`, offset: row, shape: [rows] }
      const norm = family.modules.find((each) => !isLinear(each) && each.of === id)
      const gain = norm ? { tensor: `${norm.name}.weight`, offset: 0, shape: [rows] } : null
      found.set(id, { id, weight, bias: hasBias(module, config) ? bias : null, gain })
      row += rows
    }
  }
  return Object.keys(family.slots).flatMap((id) => found.get(id) ?? [])
}

function shapeOf(family: Family, id: string, config: ModelConfig): readonly [number, number] {
  return family.slots[id]?.(config) ?? [0, 0]
}
