/** @file Models with experts whose layers are the same one again and again, in other orders, or have nothing in common. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { architectureOf } from '../../src/main/engine/architectures'
import { parseConfig, type ModelConfig } from '../../src/main/engine/architectures/config'
import type { Architecture } from '../../src/main/engine/architectures/Architecture'
import { Random } from '../../src/main/engine/lib/random'
import { encodeSafetensors } from './checkpoints'

export const EXPERTS = 6
export const NEURONS = 10
const HIDDEN = 32
export const VOCABULARY = 64

const SHAPE = {
  hidden_size: HIDDEN,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: VOCABULARY,
  max_position_embeddings: 64,
  num_experts_per_tok: 2,
}

const DEMO_MODEL = resolve(import.meta.dirname, '../../resources/demo-model')
const DEMO_VOCABULARY = 512

/** Configs by `model_type`. */
const CONFIGS: Readonly<Record<string, Record<string, unknown>>> = {
  mixtral: {
    architectures: ['MixtralForCausalLM'],
    intermediate_size: NEURONS,
    num_local_experts: EXPERTS,
  },
  qwen2_moe: {
    architectures: ['Qwen2MoeForCausalLM'],
    intermediate_size: 24,
    moe_intermediate_size: NEURONS,
    shared_expert_intermediate_size: 12,
    num_experts: EXPERTS,
  },
}

/** Where a layer has the units of the first one: expert `e` is that one's `experts[e]`, its neurons in `neurons[e]`. */
export interface UnitOrder {
  readonly experts: readonly number[]
  readonly neurons: readonly (readonly number[])[]
}

export interface ExpertModelOptions {
  readonly dir: string
  readonly modelType?: 'mixtral' | 'qwen2_moe'
  readonly layers?: number
  /** Share of each weight that is the layer's own; 1: nothing in common. */
  readonly noise?: number
  /** The vocabulary, and files that come along, of the bundled model. */
  readonly hasTokenizer?: boolean
  /** Of layers; the first's own without it. */
  readonly orderOf?: (layer: number) => UnitOrder | null
}

export function shuffledUnits(seed: number): UnitOrder {
  const shuffled = (length: number, part: string): number[] => [
    ...new Random(seed, part).shuffle(Uint32Array.from({ length }, (_, index) => index)),
  ]
  return {
    experts: shuffled(EXPERTS, 'experts'),
    neurons: Array.from({ length: EXPERTS }, (_, expert) => shuffled(NEURONS, `of ${expert}`)),
  }
}

/** Writes it in F32. */
export async function writeExpertModel({
  dir,
  modelType = 'mixtral',
  layers = 6,
  noise = 0,
  hasTokenizer = false,
  orderOf = () => null,
}: ExpertModelOptions): Promise<string> {
  const raw = {
    ...SHAPE,
    ...CONFIGS[modelType],
    model_type: modelType,
    num_hidden_layers: layers,
    ...(hasTokenizer ? { vocab_size: DEMO_VOCABULARY } : {}),
    torch_dtype: 'float32',
  }
  const architecture = architectureOf(raw, 'config.json')
  const config = parseConfig(raw, architecture.configRules, 'config.json')
  const made = new Map<
    string,
    { readonly shape: readonly number[]; readonly values: Float32Array }
  >()
  const random = (name: string, shape: readonly number[]): Float32Array => {
    const source = new Random(3, name)
    const length = shape.reduce((product, size) => product * size, 1)
    const scale = shape.length > 1 ? 1 / Math.sqrt(shape.at(-1) ?? 1) : 0.1
    const shift = name.endsWith('norm.weight') ? 1 : 0
    return Float32Array.from({ length }, () => shift + scale * source.normal())
  }
  const add = (name: string, shape: readonly number[]): void => {
    made.set(name, { shape, values: random(name, shape) })
  }
  add(architecture.embedTokens, [config.vocabSize, HIDDEN])
  add(architecture.finalNorm, [HIDDEN])
  add(architecture.lmHead, [config.vocabSize, HIDDEN])
  for (let layer = 0; layer < layers; layer += 1) {
    const order = orderOf(layer)
    for (const { suffix, shape } of architecture.layerTensors(config, layer)) {
      const from = order
        ? placed({ architecture, config, suffix }, order, random)
        : random(suffix, shape)
      const own = random(`${layer} ${suffix}`, shape)
      const values = from.map((value, index) => (1 - noise) * value + noise * own[index]!)
      made.set(`${architecture.layerPrefix}${layer}.${suffix}`, { shape, values })
    }
  }
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'config.json'), JSON.stringify(raw))
  if (hasTokenizer) {
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      await copyFile(join(DEMO_MODEL, name), join(dir, name))
    }
  }
  const tensors = [...made].map(([name, { shape, values }]) => ({
    name,
    dtype: 'F32',
    shape,
    bytes: new Uint8Array(values.buffer),
  }))
  await writeFile(join(dir, 'model.safetensors'), encodeSafetensors(tensors))
  return dir
}

/** A tensor of the first layer with its units in another order. */
function placed(
  {
    architecture,
    config,
    suffix,
  }: { readonly architecture: Architecture; readonly config: ModelConfig; readonly suffix: string },
  order: UnitOrder,
  random: (name: string, shape: readonly number[]) => Float32Array,
): Float32Array {
  const tensors = architecture.layerTensors(config, 0)
  const shapeOf = (name: string): readonly number[] =>
    tensors.find((each) => each.suffix === name)?.shape ?? []
  const { router } = architecture.forward.experts ?? {}
  if (suffix === `${router}.weight`) {
    const rows = random(suffix, shapeOf(suffix))
    return Float32Array.from(
      order.experts.flatMap((own) => [...rows.subarray(own * HIDDEN, (own + 1) * HIDDEN)]),
    )
  }
  const slot = architecture
    .slotsOf(config, 0)
    .find(({ expert, weight }) => expert !== null && weight.tensor === suffix)
  if (!slot || slot.expert === null) return random(suffix, shapeOf(suffix))
  const own = order.experts[slot.expert]!
  const name = suffix.replace(`experts.${slot.expert}.`, `experts.${own}.`)
  const values = random(name, shapeOf(name))
  const neurons = order.neurons[slot.expert]!
  const [, width = 1] = shapeOf(name)
  return slot.id === 'experts.down_proj'
    ? values.map((_, at) => values[at - (at % width) + neurons[at % width]!]!)
    : values.map((_, at) => values[neurons[Math.floor(at / width)]! * width + (at % width)]!)
}
