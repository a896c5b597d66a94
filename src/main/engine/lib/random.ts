/**
 * Seeded random numbers: xoshiro128** (Blackman & Vigna 2018), its state filled by splitmix32 from a hash of the seed
 * and a list of names, so that every use has its own stream whatever else ran before it.
 */
export class Random {
  private a: number
  private b: number
  private c: number
  private d: number
  private spare: number | null = null

  constructor(seed: number, ...stream: readonly (string | number)[]) {
    // FNV-1a over the stream's name, mixed with the seed.
    let hash = (0x811c9dc5 ^ seed) >>> 0
    for (const character of stream.join('/')) {
      hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0
    }
    const next = (): number => {
      hash = (hash + 0x9e3779b9) >>> 0
      let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
      return (mixed ^ (mixed >>> 16)) >>> 0
    }
    this.a = next()
    this.b = next()
    this.c = next()
    this.d = next() | 1
  }

  /** A whole number from 0 to 2³² − 1. */
  uint32(): number {
    const result = Math.imul(rotate(Math.imul(this.b, 5), 7), 9) >>> 0
    const shifted = this.b << 9
    this.c ^= this.a
    this.d ^= this.b
    this.b ^= this.c
    this.a ^= this.d
    this.c ^= shifted
    this.d = rotate(this.d, 11)
    return result
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return (this.uint32() >>> 8) / 0x1000000
  }

  /** A whole number from 0 to `limit` − 1, unbiased. */
  below(limit: number): number {
    const top = 0x1_0000_0000 - (0x1_0000_0000 % limit)
    let value = this.uint32()
    while (value >= top) value = this.uint32()
    return value % limit
  }

  /** Standard normal (Marsaglia's polar method). */
  normal(): number {
    if (this.spare !== null) {
      const value = this.spare
      this.spare = null
      return value
    }
    for (;;) {
      const u = 2 * this.uniform() - 1
      const v = 2 * this.uniform() - 1
      const s = u * u + v * v
      if (s > 0 && s < 1) {
        const scale = Math.sqrt((-2 * Math.log(s)) / s)
        this.spare = v * scale
        return u * scale
      }
    }
  }

  /** Puts the numbers in random order, in place (Fisher–Yates). */
  shuffle(numbers: Uint32Array): Uint32Array {
    for (let last = numbers.length - 1; last > 0; last -= 1) {
      const other = this.below(last + 1)
      const value = numbers[last]!
      numbers[last] = numbers[other]!
      numbers[other] = value
    }
    return numbers
  }
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
