/** Uniform float32 numbers in a range from a small seeded generator (mulberry32). */
export function seededFloats(
  count: number,
  seed: number,
  [low, high]: readonly [number, number] = [-1, 1],
): Float32Array {
  let state = seed >>> 0
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return low + ((high - low) * ((mixed ^ (mixed >>> 14)) >>> 0)) / 4294967296
  })
}
