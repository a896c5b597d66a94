/** What the sharding needs to know of a tensor. */
interface Sized {
  readonly name: string
  readonly dtype: string
  readonly byteLength: number
}

/** Within a layer, as the reference modules declare their parameters; unknown names follow in their own order. */
const LAYER_ORDER = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.o_proj',
  'self_attn.',
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
  'mlp.',
  'input_layernorm',
  'post_attention_layernorm',
]

interface Place {
  readonly section: number
  readonly layer: number
  readonly within: number
}

function placeOf(name: string): Place {
  const match = /^model\.layers\.(\d+)\.(.*)$/.exec(name)
  if (match) {
    const suffix = match[2] ?? ''
    const within = LAYER_ORDER.findIndex((prefix) => suffix.startsWith(prefix))
    return {
      section: 1,
      layer: Number(match[1]),
      within: within === -1 ? LAYER_ORDER.length : within,
    }
  }
  const section = name.startsWith('model.embed_tokens.')
    ? 0
    : name.startsWith('model.')
      ? 2
      : name.startsWith('lm_head.')
        ? 3
        : 4
  return { section, layer: 0, within: 0 }
}

/** Embeddings, layers in order of their numbers, final norm, head, anything else. */
export function inStateDictOrder<T extends Sized>(tensors: readonly T[]): T[] {
  return tensors
    .map((tensor) => ({ tensor, place: placeOf(tensor.name) }))
    .sort(
      (a, b) =>
        a.place.section - b.place.section ||
        a.place.layer - b.place.layer ||
        a.place.within - b.place.within ||
        // Weight before bias.
        compare(b.tensor.name, a.tensor.name),
    )
    .map(({ tensor }) => tensor)
}

/**
 * Groups tensors, given in state-dict order, into shards as huggingface_hub does: a shard is closed when the next
 * tensor would carry it over the limit, and a tensor above the limit has a shard of its own.
 */
export function splitIntoShards<T extends Sized>(tensors: readonly T[], maxBytes: number): T[][] {
  const shards: T[][] = []
  let current: T[] = []
  let bytes = 0
  for (const tensor of tensors) {
    if (tensor.byteLength > maxBytes) {
      shards.push([tensor])
      continue
    }
    if (bytes + tensor.byteLength > maxBytes) {
      shards.push(current)
      current = []
      bytes = 0
    }
    current.push(tensor)
    bytes += tensor.byteLength
  }
  if (current.length > 0) shards.push(current)
  return shards
}

/**
 * The order of a shard's bytes: wider elements first, so that every tensor is aligned, then layer by layer with each
 * layer's tensors by name. Published files are laid out so within a layer, hence a whole layer is copied in one run.
 */
export function inFileOrder<T extends Sized>(
  tensors: readonly T[],
  bitsOf: (dtype: string) => number,
): T[] {
  return tensors
    .map((tensor) => ({ tensor, place: placeOf(tensor.name), bits: bitsOf(tensor.dtype) }))
    .sort(
      (a, b) =>
        b.bits - a.bits ||
        a.place.section - b.place.section ||
        a.place.layer - b.place.layer ||
        compare(a.tensor.name, b.tensor.name),
    )
    .map(({ tensor }) => tensor)
}

/** By code unit: the same on every machine, unlike a locale's order. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** `model.safetensors` for one shard, else `model-00001-of-00003.safetensors` and so on. */
export function shardName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors'
  const number = (value: number) => String(value).padStart(5, '0')
  return `model-${number(index + 1)}-of-${number(count)}.safetensors`
}
