/** @file Hostile files made from good ones: values, keys and shapes of JSON, and bytes. */
import type { Random } from './chance'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Stands for what JSON cannot say and readers may accept: written without its quotes. */
const RAW = '\u0000raw:'

const STRINGS = [
  '',
  'x',
  '../../etc/passwd',
  '\u202e',
  'é'.repeat(50),
  'F16',
  'BF16',
  'I64',
  '__proto__',
]

function value(random: Random): Json {
  return random.pick<() => Json>([
    () => null,
    () => random.happens(0.5),
    () => random.pick([0, -1, 1, 2, 3, 1.5, -0.5, 1e308, -1e308, 2 ** 31, 2 ** 53, 2 ** 63]),
    () => random.pick(STRINGS),
    () => 'n'.repeat(random.pick([300, 5_000, 100_000])),
    () => [],
    () => ({}),
    () => Array<Json>(random.pick([1, 5, 5_000])).fill(random.pick([0, '', null])),
    () => nested(random.pick([5, 500, 20_000])),
    () =>
      `${RAW}${random.pick(['NaN', 'Infinity', '-Infinity', '1e999', '01', '0x1', "'x'", '+1'])}`,
  ])()
}

/** As text: `JSON.stringify` itself would not get this deep. */
const nested = (depth: number): string => `${RAW}${'['.repeat(depth)}${']'.repeat(depth)}`

interface Place {
  readonly holder: Json[] | { [key: string]: Json }
  readonly key: string | number
}

function placesOf(json: Json, found: Place[] = []): Place[] {
  if (json === null || typeof json !== 'object') return found
  const keys = Array.isArray(json) ? json.keys() : Object.keys(json)
  for (const key of keys) {
    found.push({ holder: json, key })
    // Of long lists the beginning is enough.
    if (found.length < 5_000) placesOf((json as never)[key], found)
  }
  return found
}

function change(root: Json, random: Random): void {
  const places = placesOf(root)
  if (places.length === 0) return
  // What lies near the top decides most.
  const top = places.filter(({ holder }) => holder === root)
  const { holder, key } = random.pick(random.happens(0.5) ? top : places)
  const object = holder as { [key: string]: Json }
  const before = object[key]!
  random.pick<() => void>([
    () => void (object[key] = value(random)),
    () => void (object[key] = value(random)),
    () => {
      if (Array.isArray(holder)) holder.splice(Number(key), 1)
      else delete object[key]
    },
    () => void (object[key] = [before, before]),
    () => {
      if (typeof before === 'number') object[key] = before + random.pick([-1, 1, 0.5, before])
      else object[key] = value(random)
    },
    () => {
      const other = random.pick(places)
      object[key] = structuredClone((other.holder as { [key: string]: Json })[other.key]!)
    },
    () => {
      if (Array.isArray(holder)) holder.push(value(random))
      else
        object[random.pick([...STRINGS, 'dtype', 'shape', 'type', 'n'.repeat(5_000)])] =
          value(random)
    },
    () => {
      if (Array.isArray(holder)) return void holder.reverse()
      delete object[key]
      object[`${key}${random.pick(['', '_', '\u200b', 'n'.repeat(300)])}`] = before
    },
  ])()
}

function write(json: Json, random: Random): string {
  const text = JSON.stringify(json).replace(/"\\u0000raw:((?:[^"\\]|\\.)*)"/g, '$1')
  if (!random.happens(0.05)) return text
  // The same key twice.
  const key = /"[^"\\]*":/.exec(text)?.[0]
  return key === undefined
    ? text
    : text.replace('{', `{${key}${random.pick(['1', 'null', '"x"'])},`)
}

/** A JSON text with one to three changes of its structure, or of its bytes. */
export function mutateJson(text: string, random: Random): Buffer {
  if (random.happens(0.15)) return mutateBytes(Buffer.from(text), random)
  const json = JSON.parse(text) as Json
  for (let times = 1 + random.below(3); times > 0; times -= 1) change(json, random)
  return Buffer.from(write(json, random))
}

export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1)
  return random.pick<() => Buffer>([
    () => bytes.subarray(0, at),
    () => Buffer.concat([bytes, Buffer.from(random.pick(['x', '\0', '}', ' ']))]),
    () => Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff, 0xfe]), bytes.subarray(at)]),
    () => Buffer.concat([Buffer.from('\ufeff'), bytes]),
    () => Buffer.alloc(0),
    () => Buffer.alloc(Math.min(bytes.length, 4096)),
    () => Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'),
    () => Buffer.from('<!doctype html><title>404</title>'),
    () => {
      const copy = Buffer.from(bytes)
      for (let times = 1 + random.below(8); times > 0 && copy.length > 0; times -= 1) {
        copy[random.below(Math.min(copy.length, 4_000))]! ^= 1 << random.below(8)
      }
      return copy
    },
  ])()
}

/** A safetensors file with another header, another length of it, or other bytes. */
export function mutateSafetensors(bytes: Buffer, random: Random): Buffer {
  const length = Number(bytes.readBigUInt64LE(0))
  const [header, data] = [bytes.subarray(8, 8 + length), bytes.subarray(8 + length)]
  const withLength = (size: bigint, text: Buffer): Buffer => {
    const prefix = Buffer.alloc(8)
    prefix.writeBigUInt64LE(BigInt.asUintN(64, size))
    return Buffer.concat([prefix, text, data])
  }
  if (random.happens(0.2)) return mutateBytes(bytes, random)
  if (random.happens(0.1)) {
    const wrong = random.pick([
      0n,
      1n,
      BigInt(length - 1),
      BigInt(length + 1),
      10n ** 8n,
      2n ** 63n,
      -1n,
    ])
    return withLength(wrong, header)
  }
  const text = mutateJson(header.toString('utf8'), random)
  return withLength(BigInt(text.length), text)
}
