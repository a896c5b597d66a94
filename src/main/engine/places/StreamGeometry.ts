/** @file What layers do to the residual stream, from the hidden states of one forward pass. */
import type { Tensor } from '../onnx/Runtime'

/** Tokens whose states are compared with each other for CKA: its cost grows with their square. */
const CKA_TOKENS = 512

export interface LayerGeometry {
  /** 1 − mean cos(x_l, x_{l+1}). */
  readonly influence: number
  /** Mean ‖x_{l+1} − x_l‖ / ‖x_l‖. */
  readonly update: number
}

/**
 * Looks at every layer's input and output. Influence and update are of all tokens; for what compares states far apart,
 * those of some tokens at equal distances are kept, all of them where the bound allows.
 */
export class StreamGeometry {
  /** `[state][token · hiddenSize]`: state 0 is the first layer's input, state l + 1 what layer l gives. */
  readonly #sample: Float32Array[] = []
  readonly #layers: LayerGeometry[] = []

  /**
   * @param size Of hidden states.
   * @param sampled Tokens that are kept.
   */
  constructor(
    private readonly size: number,
    private readonly sampled: number,
  ) {}

  /** Takes the states around the next layer, `[windows, context, hiddenSize]` of each micro-batch. */
  see(given: readonly Tensor[], gives: readonly Tensor[]): void {
    if (this.#sample.length === 0) this.#sample.push(this.#sampleOf(given))
    this.#sample.push(this.#sampleOf(gives))
    let [cosines, updates, tokens] = [0, 0, 0]
    for (const [index, { data }] of given.entries()) {
      const [before, after] = [data as Float32Array, gives[index]!.data as Float32Array]
      for (let at = 0; at < before.length; at += this.size) {
        const { dot, left, right, distance } = this.#compare(before, after, at, at)
        cosines += cosine(dot, left, right)
        updates += left > 0 ? Math.sqrt(distance / left) : 0
        tokens += 1
      }
    }
    this.#layers.push({ influence: 1 - cosines / tokens, update: updates / tokens })
  }

  get layers(): readonly LayerGeometry[] {
    return this.#layers
  }

  /** `[n − 1][l]`: mean of arccos(cos(x_l, x_{l+n})) / π, n up to `longest`. */
  angular(longest: number): number[][] {
    const states = this.#sample
    return Array.from({ length: Math.min(longest, states.length - 1) }, (_, index) => {
      const n = index + 1
      return states.slice(0, states.length - n).map((from, state) => {
        const to = states[state + n]!
        let sum = 0
        for (let at = 0; at < from.length; at += this.size) {
          const { dot, left, right } = this.#compare(from, to, at, at)
          sum += Math.acos(Math.max(-1, Math.min(1, cosine(dot, left, right)))) / Math.PI
        }
        return sum / (from.length / this.size)
      })
    })
  }

  /**
   * Linear CKA of what each layer and the next one give: ⟨K, L⟩ / (‖K‖ ‖L‖), with K and L the products of the centred
   * states with themselves; yields after each state.
   */
  *neighbourCka(): Generator<void, number[]> {
    const found: number[] = []
    let previous: Float64Array | null = null
    for (const states of this.#sample.slice(1)) {
      const products = this.#centredProducts(states)
      if (previous)
        found.push(cosine(dotOf(previous, products), squares(previous), squares(products)))
      previous = products
      yield
    }
    return found
  }

  #sampleOf(states: readonly Tensor[]): Float32Array {
    const tokens = states.reduce((sum, { data }) => sum + data.length / this.size, 0)
    const count = Math.min(this.sampled, tokens)
    const taken = new Float32Array(count * this.size)
    let [index, begin] = [0, 0]
    for (let place = 0; place < count; place += 1) {
      const token = Math.floor((place * tokens) / count)
      let values = states[index]!.data as Float32Array
      while ((token - begin) * this.size >= values.length) {
        begin += values.length / this.size
        index += 1
        values = states[index]!.data as Float32Array
      }
      const at = (token - begin) * this.size
      taken.set(values.subarray(at, at + this.size), place * this.size)
    }
    return taken
  }

  #compare(
    a: Float32Array,
    b: Float32Array,
    atA: number,
    atB: number,
  ): { dot: number; left: number; right: number; distance: number } {
    let [dot, left, right, distance] = [0, 0, 0, 0]
    for (let index = 0; index < this.size; index += 1) {
      const [x, y] = [a[atA + index]!, b[atB + index]!]
      dot += x * y
      left += x * x
      right += y * y
      distance += (y - x) ** 2
    }
    return { dot, left, right, distance }
  }

  /** `[tokens · tokens]`. */
  #centredProducts(states: Float32Array): Float64Array {
    const all = states.length / this.size
    const count = Math.min(CKA_TOKENS, all)
    const rows = Array.from({ length: count }, (_, place) => {
      const at = Math.floor((place * all) / count) * this.size
      return Float64Array.from(states.subarray(at, at + this.size))
    })
    for (let index = 0; index < this.size; index += 1) {
      const mean = rows.reduce((sum, row) => sum + row[index]!, 0) / count
      for (const row of rows) row[index] = row[index]! - mean
    }
    const products = new Float64Array(count * count)
    for (const [i, row] of rows.entries()) {
      for (let j = i; j < count; j += 1) {
        const value = dotOf(row, rows[j]!)
        products[i * count + j] = value
        products[j * count + i] = value
      }
    }
    return products
  }
}

/** 1 of two vectors that are both zero, 0 where one is. */
function cosine(dot: number, left: number, right: number): number {
  if (left === 0 || right === 0) return left === right ? 1 : 0
  return dot / Math.sqrt(left * right)
}

function dotOf(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let index = 0; index < a.length; index += 1) sum += a[index]! * b[index]!
  return sum
}

const squares = (a: Float64Array): number => dotOf(a, a)
