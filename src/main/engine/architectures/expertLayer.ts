/** @file The parts of families whose layers have several MLPs, experts, of which a router chooses some for each token. */
import type { Family, LinearModule, Module, ModulesOf } from './Architecture'
import type { ExpertConfig, Fields } from './config'
import { linear, llamaModules, llamaSlots, norm } from './llamaShape'

type LlamaLayer = NonNullable<Parameters<typeof llamaModules>[0]>

/** How the files call an expert's projections, and what they lie in. */
interface ExpertNames {
  /** `mlp` */
  readonly module: string
  readonly projections: Readonly<Record<(typeof PROJECTIONS)[number], string>>
}

const PROJECTIONS = ['gate_proj', 'up_proj', 'down_proj'] as const

export const EXPERT_NAMES: ExpertNames = {
  module: 'mlp',
  projections: { gate_proj: 'gate_proj', up_proj: 'up_proj', down_proj: 'down_proj' },
}

const ROUTER = 'gate'
const SHARED = 'shared_expert'

/** Where the files have the router. */
export function routerName({ module }: ExpertNames): string {
  return `${module}.${ROUTER}`
}

export const SHARED_GATE = `${EXPERT_NAMES.module}.${SHARED}_gate`

/** The slots of experts beside those of a layer without. */
export const EXPERT_SLOTS: Family['slots'] = {
  ...llamaSlots(),
  ...slotsOf('experts', ({ experts }) => experts?.intermediateSize ?? 0),
  ...slotsOf(SHARED, ({ experts }) => experts?.sharedIntermediateSize ?? 0),
}

function slotsOf(
  of: string,
  neurons: (config: Parameters<Family['slots'][string]>[0]) => number,
): Family['slots'] {
  return {
    [`${of}.gate_proj`]: (config) => [neurons(config), config.hiddenSize],
    [`${of}.up_proj`]: (config) => [neurons(config), config.hiddenSize],
    [`${of}.down_proj`]: (config) => [config.hiddenSize, neurons(config)],
  }
}

export const EXPERT_WRITERS = ['o_proj', 'down_proj', 'experts.down_proj', `${SHARED}.down_proj`]

/** Layers whose MLP is a mixture of experts where the config says so. */
export function expertModules(
  attention: LlamaLayer,
  names: ExpertNames = EXPERT_NAMES,
): { readonly modules: ModulesOf; readonly moduleOrder: readonly { readonly name: string }[] } {
  const dense = llamaModules(attention)
  const isMlp = ({ name }: Module): boolean => name.startsWith('mlp.')
  const before = dense.slice(0, dense.findIndex(isMlp))
  const after = dense.slice(dense.findLastIndex(isMlp) + 1)
  const { module, projections } = names
  const projectionsOf = (prefix: string, of: string): LinearModule[] =>
    PROJECTIONS.map((id) => linear(`${module}.${prefix}.${projections[id]}`, [`${of}.${id}`]))
  return {
    modules: (config, layer) => {
      const { experts } = config
      if (experts?.isSparse[layer] !== true) return dense
      const each = Array.from({ length: experts.count }, (_, expert) =>
        projectionsOf(`experts.${expert}`, 'experts').map((own) => ({ ...own, expert })),
      )
      const shared: Module[] =
        experts.sharedIntermediateSize === null
          ? []
          : [...projectionsOf(SHARED, SHARED), { name: SHARED_GATE, scores: 'shared_expert' }]
      const router: Module = { name: routerName(names), scores: 'experts' }
      return [...before, router, ...each.flat(), ...shared, ...after]
    },
    moduleOrder: [
      ...before,
      norm(`${module}.${ROUTER}.`),
      norm(`${module}.experts`),
      norm(`${module}.${SHARED}.`),
      norm(`${module}.${SHARED}_gate`),
      ...dense.filter(isMlp),
      ...after,
    ],
  }
}

/** Keys of the config, the usual one first. */
interface ExpertKeys {
  readonly count: readonly string[]
  readonly defaultCount: number
  readonly defaultPerToken: number
  readonly size: string
  readonly defaultSize: number
  readonly sharedSize?: { readonly key: string; readonly absent: number }
  /** `null` where the chosen experts' weights always sum to 1. */
  readonly normalises: string | null
  /** Whether `decoder_sparse_step` and `mlp_only_layers` say which layers have experts; all do without. */
  readonly hasDenseLayers?: true
}

/** Reads what a config says of experts; `null` where no layer has any. */
export function expertConfig(
  keys: ExpertKeys,
): (fields: Fields, layers: number) => ExpertConfig | null {
  return (fields, layers) => {
    const { defaultCount, defaultPerToken, size, defaultSize, sharedSize, normalises } = keys
    const key = keys.count.find((each) => fields.has(each)) ?? keys.count[0] ?? ''
    const count = fields.natural(key, { min: 0, absent: defaultCount })
    const perToken = fields.natural('num_experts_per_tok', { absent: defaultPerToken })
    const isSparse = Array.from(
      { length: layers },
      (_, layer) => keys.hasDenseLayers !== true || hasExperts(fields, layer),
    )
    if (count === 0 || !isSparse.includes(true)) return null
    if (perToken > count) throw fields.bad('num_experts_per_tok', `at most the ${count} experts`)
    return {
      count,
      perToken,
      intermediateSize: fields.natural(size, { absent: defaultSize }),
      sharedIntermediateSize: sharedSize
        ? fields.natural(sharedSize.key, { absent: sharedSize.absent })
        : null,
      normalises: normalises === null || fields.flag(normalises),
      isSparse,
    }
  }
}

/** Every `decoder_sparse_step`-th layer, but for those of `mlp_only_layers`. */
function hasExperts(fields: Fields, layer: number): boolean {
  const step = fields.natural('decoder_sparse_step', { absent: 1 })
  const dense = fields.has('mlp_only_layers') ? fields.raw['mlp_only_layers'] : []
  if (!Array.isArray(dense)) throw fields.bad('mlp_only_layers', 'a list of layers')
  return (layer + 1) % step === 0 && !dense.includes(layer)
}
