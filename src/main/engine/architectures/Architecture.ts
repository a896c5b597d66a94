/**
 * @file What the product knows about a model family, as a plain value. A family's file says which modules a layer has and
 * which matrices ("slots") lie in them; names, shapes, places and rules for depth are derived here.
 */
import { AppError } from '@shared/errors'
import type { PlannedLayer } from '@shared/plan'
import type { ConfigRules, ModelConfig, RawConfig } from './config'
import { deepenConfig } from './deepenConfig'

/**
 * What a tensor of a decoder layer is for; `kernel`, of a short convolution; `own`, what only its family has and nothing here
 * computes: a decay, a state's step; `buffer`, such a one that no training changes.
 */
export type LayerTensorRole =
  'weight' | 'bias' | 'norm' | 'qk_norm' | 'router' | 'kernel' | 'own' | 'buffer'

/** One tensor of a decoder layer. */
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
  /** `q_proj`. Results, series and options go by it; all experts of a layer have the same. */
  readonly id: string
  /** Which of the layer's experts has it; `null` for what the whole layer has. */
  readonly expert: number | null
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
export type BiasRule = 'always' | 'attentionBias' | 'outputBias' | 'mlpBias' | 'convolutionBias'

/** A linear map of a layer, by its name in the files. */
export interface LinearModule {
  /** `self_attn.qkv_proj` */
  readonly name: string
  /** Whose rows it holds, one after another; more than one in a fused tensor. */
  readonly slots: readonly string[]
  readonly bias: BiasRule | null
  /** The expert that it belongs to. */
  readonly expert?: number
}

/** A norm's weight: of hidden size, of the size of a head, or a slot's id for one over all rows of that slot. */
export interface NormModule {
  readonly name: string
  readonly of: 'hidden' | 'head' | 'q_proj' | 'k_proj'
}

/** What scores experts, or weighs one: a matrix with as many rows as there are, no bias. */
export interface RouterModule {
  /** `mlp.gate` */
  readonly name: string
  readonly scores: 'experts' | 'shared_expert'
}

/** A tensor that is no matrix between streams, which only its family has. New layers take it from layers that have it. */
export interface OwnModule {
  /** The tensor's whole name within the layer: `linear_attn.A_log`. */
  readonly name: string
  readonly shape: readonly number[]
  readonly isBuffer?: true
}

/** A depthwise convolution over the tokens: a few weights for each channel, of hidden size, and a bias. */
export interface KernelModule {
  /** `conv.conv` */
  readonly name: string
  readonly taps: (config: ModelConfig) => number
  readonly bias: BiasRule | null
}

export type Module = LinearModule | NormModule | RouterModule | KernelModule | OwnModule

/** The modules of a layer, where layers differ. */
export type ModulesOf = (config: ModelConfig, layer: number) => readonly Module[]

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
  /** Where layers have experts in place of the MLP; slots `experts.gate_proj` and so on, `shared_expert.gate_proj`. */
  readonly experts?: ExpertModules
  /**
   * What layers have that the forward pass does not compute, to be read after "layers have": `linear attention`. Such a
   * model is grown, and refused where it would have to be run. Absent where all is computed.
   */
  readonly missing?: string
  /** The module of the kernel, where layers have a short convolution in place of attention; slots `conv.b_proj` and so on. */
  readonly convolution?: string
}

/** The modules that weigh experts. */
export interface ExpertModules {
  /** Its scores choose experts for each token. */
  readonly router: string
  /** What the expert that every token passes is weighed by; `null` where there is none. */
  readonly sharedGate: string | null
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
  /** Of a layer: its modules, or the beginnings of their names. */
  readonly moduleOrder: readonly { readonly name: string }[]
}

/** What a family's file says. */
export interface Family {
  /** `model_type` of the config. */
  readonly modelType: string
  /** `architectures[0]` of the config. */
  readonly architectureName: string
  readonly names: TensorNames
  /** As the reference declares them, which is the order of a state dict; a function where layers differ. */
  readonly modules: readonly Module[] | ModulesOf
  /** As of `TensorOrder`, where `modules` is a function. */
  readonly moduleOrder?: readonly { readonly name: string }[]
  /** The shape of every slot, in the order in which they are computed, listed and drawn. */
  readonly slots: Readonly<Record<string, (config: ModelConfig) => readonly [number, number]>>
  /**
   * Slots whose products are added to the residual stream: scaled by a factor, a block adds that much less; zero, with
   * their biases, they make it the identity.
   */
  readonly residualWriters: readonly string[]
  /**
   * What a layer's additions pass beside the norms behind both branches, where it has any, by full names within the layer,
   * with the values at which the layer leaves the stream as it is.
   */
  readonly furtherScales?: Readonly<Record<string, number>>
  /** What lies outside the layers beside embeddings, final norm and head. */
  readonly besideLayers?: (config: ModelConfig) => readonly BesideTensor[]
  /**
   * Refuses layers in an order that the family's config cannot say.
   *
   * @throws AppError `bad_request`.
   */
  readonly requireOrder?: (
    config: ModelConfig,
    layers: readonly PlannedLayer[],
    file: string,
  ) => void
  /** What layers have that nothing is computed from, so that new ones are copies; `null` where there is nothing. */
  readonly copiedOnly?: (config: ModelConfig) => string | null
  readonly config: Omit<ConfigRules, 'modelType' | 'architectureName'>
  readonly forward: ForwardRules
  /** After how many layers llama.cpp takes the layers' types to repeat, by its code and not by the file. */
  readonly fixedPeriod?: number
}

/** A tensor of the decoder outside its layers. */
export interface BesideTensor {
  /** Without what all of the decoder's names begin with. */
  readonly name: string
  readonly shape: readonly number[]
  /** The axis along which it has a part for each layer, in their order; `null` where it has none. */
  readonly layersAlong: 0 | 1 | null
}

/** How a decoder lies in a model that sees or hears as well. */
export interface Wrapping {
  /** The names that files may have for it; those of the modules first. */
  readonly layouts: readonly TensorNames[]
  /** After how many of the first layers what was seen is added once more, by the config; `null` where nothing is. */
  readonly deepFeatures: ((rawConfig: RawConfig) => number) | null
}

/** Everything the product knows about one model family. */
export interface Architecture extends Omit<Family, 'moduleOrder'>, TensorOrder {
  readonly configRules: ConfigRules
  /**
   * Of a decoder inside another model: how files name its tensors, the modules' own names first. They are read and written
   * under the names that they have. `null` where the decoder is all there is.
   */
  readonly wrapping: Wrapping | null
  /**
   * What scales all that a layer adds to the residual stream, full name within the layer: the matrices that write to it and
   * their biases; where norms stand behind them, which take their scale out, those norms' weights.
   */
  residualScales(config: ModelConfig, layer: number): readonly string[]
  /** The value of one of {@link residualScales} with which a layer adds nothing: what a LLaMA Pro block sets it to. */
  silentValue(suffix: string): number
  /** Whether norms stand behind the matrices that write to the residual stream. */
  readonly hasPostNorms: boolean
  /** The tensors that a layer must have under this config, with their shapes, in state-dict order. */
  layerTensors(config: ModelConfig, layer: number): readonly LayerTensor[]
  /** The matrices of a layer that are predicted, and where each lies. */
  slotsOf(config: ModelConfig, layer: number): readonly Slot[]
  /** The first layer that has the same tensors as this one: what is made for a kind of layer goes by it. */
  formOf(config: ModelConfig, layer: number): number
  /**
   * The config of a model with `sources.length` layers; layer `j` takes its attention type from layer `sources[j]` of
   * the base. Only what depends on depth is changed; every other key keeps its spelling and its value.
   */
  deepenConfig(rawConfig: RawConfig, sources: readonly number[]): Record<string, unknown>
}

/** Derives what follows from a family's description. */
export function defineArchitecture(family: Family, wrapping: Wrapping | null = null): Architecture {
  const { modules, names, moduleOrder, furtherScales = {} } = family
  const configRules: ConfigRules = {
    modelType: family.modelType,
    architectureName: family.architectureName,
    ...family.config,
  }
  const { afterAttention, afterMlp, norm } = family.forward
  const postNorms = [afterAttention, afterMlp]
    .filter((name) => name !== null)
    .map((name) => `${name}.weight`)
  const hasPostNorms = postNorms.length > 0
  const forms = new WeakMap<ModelConfig, Forms>()
  const formsOf = (config: ModelConfig): Forms => {
    const known = forms.get(config) ?? new Forms(family, config)
    forms.set(config, known)
    return known
  }
  return {
    ...family,
    ...names,
    moduleOrder: moduleOrder ?? (typeof modules === 'function' ? [] : modules),
    configRules,
    wrapping,
    residualScales: (config, layer) =>
      hasPostNorms
        ? [...postNorms, ...Object.keys(furtherScales)]
        : formsOf(config).of(layer).writers,
    silentValue: (suffix) =>
      furtherScales[suffix] ?? (hasPostNorms && norm === 'rms_plus_one' ? -1 : 0),
    hasPostNorms,
    layerTensors: (config, layer) => formsOf(config).of(layer).tensors,
    slotsOf: (config, layer) => formsOf(config).of(layer).slots,
    formOf: (config, layer) => formsOf(config).of(layer).first,
    deepenConfig: (rawConfig, sources) => deepenConfig(rawConfig, sources, configRules),
  }
}

/** Layers with the same tensors. */
interface Form {
  readonly first: number
  readonly tensors: readonly LayerTensor[]
  readonly slots: readonly Slot[]
  /** The matrices that write to the residual stream, and their biases. */
  readonly writers: readonly string[]
}

/** The kinds of layers that a model has, by their tensors; each is worked out once. */
class Forms {
  readonly #byLayer: readonly Form[]

  constructor(family: Family, config: ModelConfig) {
    const { modules } = family
    const known = new Map<string, Form>()
    const formOf = (layer: number): Form => {
      const own = typeof modules === 'function' ? modules(config, layer) : modules
      // Matrices of one name may be of several shapes, which their slots tell apart.
      const key = own
        .map((module) => [module.name, ...(isLinear(module) ? module.slots : [])])
        .join()
      const form = known.get(key) ?? {
        first: layer,
        tensors: own.flatMap((module) => tensorsOf(family, module, config)),
        slots: slotsOf(family, own, config),
        writers: writersIn(family, own),
      }
      known.set(key, form)
      return form
    }
    const layers = typeof modules === 'function' ? config.numHiddenLayers : 1
    this.#byLayer = Array.from({ length: layers }, (_, layer) => formOf(layer))
  }

  of(layer: number): Form {
    const form = this.#byLayer[this.#byLayer.length === 1 ? 0 : layer]
    if (form) return form
    throw new AppError('bug', `There is no layer ${layer} among ${this.#byLayer.length}.`)
  }
}

/** The same family as it lies in files that name its tensors so. */
export function withNames(architecture: Architecture, names: TensorNames): Architecture {
  return { ...architecture, ...names }
}

/** Whether a tensor is of another part than the decoder: of what sees, or of what lies between. */
export function isOutsideDecoder({ wrapping, ...names }: Architecture, name: string): boolean {
  return wrapping !== null && name !== names.lmHead && !name.startsWith(decoderPrefix(names))
}

/** What all of the decoder's names begin with, its head aside: `model.`. */
export function decoderPrefix({ layerPrefix }: Pick<TensorNames, 'layerPrefix'>): string {
  return layerPrefix.slice(0, layerPrefix.lastIndexOf('.', layerPrefix.length - 2) + 1)
}

/** What lies outside the layers, by the names of the files. */
export function besideLayers(
  { besideLayers: of, layerPrefix }: Architecture,
  config: ModelConfig,
): BesideTensor[] {
  const prefix = decoderPrefix({ layerPrefix })
  return (of?.(config) ?? []).map((tensor) => ({ ...tensor, name: `${prefix}${tensor.name}` }))
}

/** What of its slots lies in a layer's tensor, in the order of its elements; empty when it holds none. */
export function partsOf(
  slots: readonly Slot[],
  part: 'weight' | RowPart,
  tensor: string,
): readonly { readonly id: string; readonly expert: number | null; readonly span: Span }[] {
  return slots
    .flatMap(({ id, expert, [part]: span }) =>
      span?.tensor === tensor ? [{ id, expert, span }] : [],
    )
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

/** One layer of each kind, by its tensors. */
export function formsOf(architecture: Architecture, config: ModelConfig): number[] {
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer)
  return layers.filter((layer) => architecture.formOf(config, layer) === layer)
}

/** Elements of the layer that has most. */
export function largestLayer(architecture: Architecture, config: ModelConfig): number {
  const sizes = formsOf(architecture, config).map((layer) =>
    architecture.layerTensors(config, layer).reduce((sum, { shape }) => sum + elementsOf(shape), 0),
  )
  return Math.max(...sizes)
}

/** Elements of a layer's matrices that a token is multiplied by: of experts, those of as many as it passes. */
export function multipliedElements(
  architecture: Architecture,
  config: ModelConfig,
  layer: number,
): number {
  const { perToken = 1, count = 1 } = config.experts ?? {}
  const routers = architecture
    .layerTensors(config, layer)
    .filter(({ role }) => role === 'router')
    .map(({ shape }) => elementsOf(shape))
  const slots = architecture
    .slotsOf(config, layer)
    .map(
      ({ expert, weight }) => elementsOf(weight.shape) * (expert === null ? 1 : perToken / count),
    )
  return [...slots, ...routers].reduce((sum, elements) => sum + elements, 0)
}

function isLinear(module: Module): module is LinearModule {
  return 'slots' in module
}

function isNorm(module: Module): module is NormModule {
  return 'of' in module
}

function isOwn(module: Module): module is OwnModule {
  return 'shape' in module
}

function isKernel(module: Module): module is KernelModule {
  return 'taps' in module
}

function hasBias({ bias }: LinearModule | KernelModule, config: ModelConfig): boolean {
  if (bias === 'convolutionBias') return config.convolution?.hasBias === true
  return bias === 'always' || (bias !== null && config[bias])
}

function writersIn({ residualWriters }: Family, modules: readonly Module[]): string[] {
  return modules
    .filter(isLinear)
    .filter(({ slots }) => slots.every((id) => residualWriters.includes(id)))
    .flatMap(({ name, bias }) => [`${name}.weight`, ...(bias === null ? [] : [`${name}.bias`])])
}

function tensorsOf(family: Family, module: Module, config: ModelConfig): LayerTensor[] {
  if (isOwn(module)) {
    const role = module.isBuffer ? 'buffer' : 'own'
    return [{ suffix: module.name, role, shape: module.shape }]
  }
  const suffix = `${module.name}.weight`
  if (isNorm(module)) {
    if (module.of === 'hidden') return [{ suffix, role: 'norm', shape: [config.hiddenSize] }]
    const size = module.of === 'head' ? config.headDim : shapeOf(family, module.of, config)[0]
    return [{ suffix, role: 'qk_norm', shape: [size] }]
  }
  if (isKernel(module)) {
    const { hiddenSize } = config
    const bias: LayerTensor = { suffix: `${module.name}.bias`, role: 'bias', shape: [hiddenSize] }
    return [
      { suffix, role: 'kernel', shape: [hiddenSize, 1, module.taps(config)] },
      ...(hasBias(module, config) ? [bias] : []),
    ]
  }
  if (!isLinear(module)) {
    const rows = module.scores === 'experts' ? (config.experts?.count ?? 0) : 1
    return [{ suffix, role: 'router', shape: [rows, config.hiddenSize] }]
  }
  const shapes = module.slots.map((id) => shapeOf(family, id, config))
  const rows = shapes.reduce((sum, [count]) => sum + count, 0)
  const width = shapes[0]?.[1] ?? 0
  const bias: LayerTensor = { suffix: `${module.name}.bias`, role: 'bias', shape: [rows] }
  return [
    { suffix, role: 'weight', shape: [rows, width] },
    ...(hasBias(module, config) ? [bias] : []),
  ]
}

function slotsOf(family: Family, modules: readonly Module[], config: ModelConfig): Slot[] {
  const found = new Map<string, Slot[]>()
  for (const module of modules.filter(isLinear)) {
    let row = 0
    for (const id of module.slots) {
      const shape = shapeOf(family, id, config)
      const [rows, width] = shape
      const weight = { tensor: `${module.name}.weight`, offset: row * width, shape }
      const bias = { tensor: `${module.name}.bias`, offset: row, shape: [rows] }
      const norm = modules.find((each) => isNorm(each) && each.of === id)
      const gain = norm ? { tensor: `${norm.name}.weight`, offset: 0, shape: [rows] } : null
      const { expert = null } = module
      const slot = { id, expert, weight, bias: hasBias(module, config) ? bias : null, gain }
      const same = found.get(id)
      if (same) same.push(slot)
      else found.set(id, [slot])
      row += rows
    }
  }
  return Object.keys(family.slots).flatMap((id) => found.get(id) ?? [])
}

function shapeOf(family: Family, id: string, config: ModelConfig): readonly [number, number] {
  return family.slots[id]?.(config) ?? [0, 0]
}
