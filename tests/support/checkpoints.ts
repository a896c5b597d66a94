import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

export type TinyArchitecture = 'llama' | 'mistral' | 'qwen2' | 'qwen3' | 'phi3'
export type TinyDtype = 'BF16' | 'F16' | 'F32'

export interface TinyCheckpointOptions {
  readonly dir: string
  readonly architecture?: TinyArchitecture
  readonly layers?: number
  readonly hidden?: number
  readonly intermediate?: number
  readonly heads?: number
  readonly kvHeads?: number
  readonly headDim?: number
  readonly vocab?: number
  readonly dtype?: TinyDtype
  /** Of single layers, where they differ from `dtype`. */
  readonly layerDtypes?: readonly TinyDtype[]
  /** Multiplies the values of some tensors. */
  readonly scale?: (name: string) => number
  /** More than one writes an index. */
  readonly shards?: number
  readonly tieWordEmbeddings?: boolean
  readonly attentionBias?: boolean
  readonly mlpBias?: boolean
  /** Laid over `config.json`; `undefined` removes a key. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly seed?: number
}

/** One tensor of a fixture, with the values it was given before they were rounded to its dtype. */
export interface FixtureTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

const ARCHITECTURE_NAMES: Readonly<Record<TinyArchitecture, string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  phi3: 'Phi3ForCausalLM',
}

const TORCH_DTYPES: Readonly<Record<TinyDtype, string>> = {
  BF16: 'bfloat16',
  F16: 'float16',
  F32: 'float32',
}

const DEMO_MODEL = resolve(import.meta.dirname, '../../resources/demo-model')

/**
 * Writes a small random checkpoint, with its own safetensors encoder so that reader and writer are tested against
 * something that is neither. Matrices have a standard deviation of about half of 1/√fan_in, norms lie around 1. Of one
 * seed, `phi3` has the weights of `mistral` in fused tensors.
 *
 * @returns The folder.
 */
export async function writeTinyCheckpoint(options: TinyCheckpointOptions): Promise<string> {
  const {
    dir,
    architecture = 'llama',
    layers = 4,
    hidden = 32,
    intermediate = 48,
    heads = 4,
    kvHeads = 2,
    headDim = hidden / heads,
    vocab = 64,
    dtype = 'BF16',
    layerDtypes = [],
    shards = 1,
    tieWordEmbeddings = false,
    attentionBias = false,
    mlpBias = false,
    seed = 1,
  } = options
  await mkdir(dir, { recursive: true })
  const random = gaussian(seed)
  const tensors: FixtureTensor[] = []
  const add = (name: string, shape: readonly number[], value: () => number) => {
    const count = shape.reduce((product, dimension) => product * dimension, 1)
    const scale = options.scale?.(name) ?? 1
    const values = Float32Array.from({ length: count }, () => scale * value())
    const layer = /\.layers\.(\d+)\./.exec(name)?.[1]
    const own = (layer === undefined ? undefined : layerDtypes[Number(layer)]) ?? dtype
    tensors.push({ name, dtype: own, shape, bytes: encodeValues(values, own) })
  }
  const matrix = (name: string, rows: number, columns: number) => {
    add(name, [rows, columns], () => (0.5 * random()) / Math.sqrt(columns))
  }
  const norm = (name: string, size: number) => add(name, [size], () => 1 + 0.1 * random())
  const linear = (name: string, rows: number, columns: number, hasBias: boolean) => {
    matrix(`${name}.weight`, rows, columns)
    if (hasBias) add(`${name}.bias`, [rows], () => 0.1 * random())
  }

  const hasFlags = architecture === 'llama' || architecture === 'qwen3'
  const biased = hasFlags && attentionBias
  const isFused = architecture === 'phi3'
  add('model.embed_tokens.weight', [vocab, hidden], () => 0.5 * random())
  for (let layer = 0; layer < layers; layer += 1) {
    const prefix = `model.layers.${layer}`
    const attention = `${prefix}.self_attn`
    const queryBias = biased || architecture === 'qwen2'
    if (isFused) matrix(`${attention}.qkv_proj.weight`, (heads + 2 * kvHeads) * headDim, hidden)
    else {
      linear(`${attention}.q_proj`, heads * headDim, hidden, queryBias)
      linear(`${attention}.k_proj`, kvHeads * headDim, hidden, queryBias)
      linear(`${attention}.v_proj`, kvHeads * headDim, hidden, queryBias)
    }
    linear(`${attention}.o_proj`, hidden, heads * headDim, biased)
    if (architecture === 'qwen3') {
      norm(`${attention}.q_norm.weight`, headDim)
      norm(`${attention}.k_norm.weight`, headDim)
    }
    const mlpBiased = architecture === 'llama' && mlpBias
    if (isFused) matrix(`${prefix}.mlp.gate_up_proj.weight`, 2 * intermediate, hidden)
    else {
      linear(`${prefix}.mlp.gate_proj`, intermediate, hidden, mlpBiased)
      linear(`${prefix}.mlp.up_proj`, intermediate, hidden, mlpBiased)
    }
    linear(`${prefix}.mlp.down_proj`, hidden, intermediate, mlpBiased)
    norm(`${prefix}.input_layernorm.weight`, hidden)
    norm(`${prefix}.post_attention_layernorm.weight`, hidden)
  }
  norm('model.norm.weight', hidden)
  if (!tieWordEmbeddings) matrix('lm_head.weight', vocab, hidden)

  const config = {
    architectures: [ARCHITECTURE_NAMES[architecture]],
    model_type: architecture,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    ...(headDim === hidden / heads && architecture !== 'qwen3' ? {} : { head_dim: headDim }),
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    vocab_size: vocab,
    max_position_embeddings: 256,
    tie_word_embeddings: tieWordEmbeddings,
    ...(hasFlags ? { attention_bias: attentionBias } : {}),
    ...(architecture === 'llama' ? { mlp_bias: mlpBias } : {}),
    ...(architecture === 'mistral' ? { sliding_window: null } : {}),
    // The reference's default lies beyond these vocabularies.
    ...(isFused ? { pad_token_id: null } : {}),
    torch_dtype: TORCH_DTYPES[dtype],
    ...options.config,
  }
  await writeFile(join(dir, 'config.json'), JSON.stringify(config, null, 2))
  await writeWeights(dir, tensors, shards)
  if (vocab >= 512) {
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
      await copyFile(join(DEMO_MODEL, name), join(dir, name))
    }
  }
  return dir
}

async function writeWeights(
  dir: string,
  tensors: readonly FixtureTensor[],
  shards: number,
): Promise<void> {
  if (shards === 1) {
    await writeFile(join(dir, 'model.safetensors'), encodeSafetensors(tensors))
    return
  }
  const perShard = Math.ceil(tensors.length / shards)
  const weight_map: Record<string, string> = {}
  for (let shard = 0; shard < shards; shard += 1) {
    const number = (value: number) => String(value).padStart(5, '0')
    const name = `model-${number(shard + 1)}-of-${number(shards)}.safetensors`
    const part = tensors.slice(shard * perShard, (shard + 1) * perShard)
    for (const tensor of part) weight_map[tensor.name] = name
    await writeFile(join(dir, name), encodeSafetensors(part))
  }
  const total_size = tensors.reduce((sum, tensor) => sum + tensor.bytes.byteLength, 0)
  const index = { metadata: { total_size }, weight_map }
  await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify(index, null, 2))
}

/** A safetensors file, its tensors laid out by name as the reference library does for one dtype. */
export function encodeSafetensors(tensors: readonly FixtureTensor[]): Uint8Array {
  const sorted = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1))
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const { name, dtype, shape, bytes } of sorted) {
    header[name] = { dtype, shape, data_offsets: [end, (end += bytes.byteLength)] }
  }
  return safetensorsFile(JSON.stringify(header), Buffer.concat(sorted.map(({ bytes }) => bytes)))
}

/** A file with exactly this header text and data, for crafted bad files too. */
export function safetensorsFile(
  header: string | Uint8Array,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.byteLength))
  return Buffer.concat([length, text, data])
}

/** Values as little-endian bytes, one at a time and by definition rather than by bit tricks. */
function encodeValues(values: Float32Array, dtype: TinyDtype): Uint8Array {
  const size = dtype === 'F32' ? 4 : 2
  const view = new DataView(new ArrayBuffer(values.length * size))
  values.forEach((value, index) => {
    if (dtype === 'F32') view.setFloat32(index * 4, value, true)
    else view.setUint16(index * 2, dtype === 'BF16' ? toBf16(value) : toF16(value), true)
  })
  return new Uint8Array(view.buffer)
}

/** Nearest of the two bfloat16 neighbours of a finite float32. */
function toBf16(value: number): number {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value)
  const low = view.getUint16(0)
  const remainder = view.getUint16(2)
  if (remainder < 0x8000 || (remainder === 0x8000 && low % 2 === 0)) return low
  return low + 1
}

/** Nearest float16 of a finite value, ties to even, from the definition of the format. */
function toF16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude || 2 ** -24)))
  const units = magnitude / 2 ** (exponent - 10)
  const floor = Math.floor(units)
  const rounded =
    units - floor > 0.5 || (units - floor === 0.5 && floor % 2 === 1) ? floor + 1 : floor
  return sign + (exponent + 14) * 1024 + rounded
}

/** Standard normal numbers from a small seeded generator (xorshift32, Box–Muller). */
function gaussian(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0 || 1
  const uniform = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return (state + 0.5) / 4294967296
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Everything in a safetensors file that is known to be good, in the order of its bytes. */
export async function decodeSafetensors(file: string): Promise<{
  readonly metadata: unknown
  readonly dataStart: number
  readonly tensors: readonly FixtureTensor[]
}> {
  const bytes = await readFile(file)
  const dataStart = 8 + Number(bytes.readBigUInt64LE())
  const { __metadata__: metadata, ...entries } = JSON.parse(
    bytes.toString('utf8', 8, dataStart),
  ) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>
  const tensors = Object.entries(entries)
    .sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0])
    .map(([name, { dtype, shape, data_offsets }]) => {
      const [begin, end] = data_offsets.map((offset) => dataStart + offset)
      return { name, dtype, shape, bytes: new Uint8Array(bytes.subarray(begin, end)) }
    })
  return { metadata, dataStart, tensors }
}
