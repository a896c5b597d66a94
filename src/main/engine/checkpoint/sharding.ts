import { decoderPrefix, placeInLayers, type TensorOrder } from '../architectures/Architecture'

/** What the sharding needs to know of a tensor. */
interface Sized {
  readonly name: string
  readonly dtype: string
  readonly byteLength: number
}

interface Place {
  readonly section: number
  readonly layer: number
  readonly within: number
}

/** The place of each name; unknown ones of a layer follow what they stand beside, or come last. */
function placesIn({ moduleOrder: modules, ...names }: TensorOrder): (name: string) => Place {
  const [embedding, head] = [moduleOf(names.embedTokens), moduleOf(names.lmHead)]
  const decoder = decoderPrefix(names)
  const within = (suffix: string): number => {
    const exact = modules.findIndex(({ name }) => suffix.startsWith(name))
    if (exact !== -1) return exact
    const part = suffix.slice(0, suffix.indexOf('.') + 1)
    const last = part === '' ? -1 : modules.findLastIndex(({ name }) => name.startsWith(part))
    return last === -1 ? modules.length : last + 0.5
  }
  return (name) => {
    const place = placeInLayers(names, name)
    if (place) return { section: 1, layer: place.layer, within: within(place.suffix) }
    const section = [[embedding, 0] as const, [decoder, 2] as const, [head, 3] as const].find(
      ([prefix]) => name.startsWith(prefix),
    )
    return { section: section?.[1] ?? 4, layer: 0, within: 0 }
  }
}

/** `model.norm.weight` → `model.norm.` */
function moduleOf(tensor: string): string {
  return tensor.slice(0, tensor.lastIndexOf('.') + 1)
}

/** Embeddings, layers in order of their numbers, final norm, head, anything else. */
export function inStateDictOrder<T extends Sized>(tensors: readonly T[], order: TensorOrder): T[] {
  const placeOf = placesIn(order)
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
  order: TensorOrder,
  bitsOf: (dtype: string) => number,
): T[] {
  const placeOf = placesIn(order)
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
