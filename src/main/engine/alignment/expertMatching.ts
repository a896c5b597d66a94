/**
 * @file Which experts of a layer are those of another: by their router's rows and by what they do to random directions, which
 * no order of their neurons changes; then which neurons, by weight matching inside each pair (as `matching.ts`).
 */
import { CHANCE, RANDOM_ORDERS, type ExpertPairReport } from '@shared/experts'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { transposed } from '../lib/matrix'
import { Random } from '../lib/random'
import { Graph } from '../onnx/graph'
import type { Kernel, Runtime } from '../onnx/Runtime'
import { assign } from './assignment'
import type { ExpertMatch } from './ExpertChains'
import { NeuronProducts } from './features'

/** Random directions of the residual stream that an expert is known by. */
const DIRECTIONS = 64

/** What an expert is known by, centred over the layer's experts: `[features]` each. */
interface ExpertFeatures {
  /** Its row of the router, times the gain of the norm before it. */
  readonly router: readonly Float32Array[]
  /** `down · up · diag(gain) · Z` and the same of the gate, Z being the random directions. */
  readonly sketch: readonly Float32Array[]
}

/** Matches the experts of two layers that have as many each. */
export class ExpertMatcher {
  readonly #features = new Map<number, ExpertFeatures>()

  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly runtime: Runtime,
    private readonly product: Kernel,
    private readonly neurons: NeuronProducts,
    private readonly directions: Float32Array,
  ) {}

  static async create(checkpoint: Checkpoint, runtime: Runtime): Promise<ExpertMatcher> {
    const { hiddenSize } = checkpoint.config
    const g = new Graph()
    const left = g.input('left', ['rows', 'inner'])
    const right = g.input('right', ['inner', DIRECTIONS])
    g.output('product', g.matmul(left, right))
    const random = new Random(0, 'expert directions')
    const directions = Float32Array.from({ length: hiddenSize * DIRECTIONS }, () => random.normal())
    return new ExpertMatcher(
      checkpoint,
      runtime,
      await runtime.compile(g),
      await NeuronProducts.create(runtime, hiddenSize),
      directions,
    )
  }

  async dispose(): Promise<void> {
    await this.product.dispose()
    await this.neurons.dispose()
  }

  /** Layers before this one are not asked for again. */
  forget(layer: number): void {
    for (const known of this.#features.keys()) if (known < layer) this.#features.delete(known)
  }

  /**
   * For each expert of layer `left` the one of layer `right` with the least distance over all, and for each of its neurons
   * that expert's.
   *
   * @param onProgress Called with the share that is done; may throw to stop.
   */
  async match(
    left: number,
    right: number,
    onProgress: (done: number) => Promise<void>,
  ): Promise<{ readonly match: ExpertMatch; readonly report: ExpertPairReport }> {
    const a = await this.#featuresOf(left, (done) => onProgress(0.2 * done))
    const b = await this.#featuresOf(right, (done) => onProgress(0.2 + 0.2 * done))
    const count = a.router.length
    const cost = new Float32Array(count * count)
    for (let e = 0; e < count; e += 1) {
      for (let f = 0; f < count; f += 1) {
        const near = cosine(a.router[e]!, b.router[f]!) + cosine(a.sketch[e]!, b.sketch[f]!)
        cost[e * count + f] = (2 - near) / 2
      }
    }
    const experts = await assign(cost.slice(), count)
    const report = { left, right, ...(await compared(cost, experts)) }
    const neurons: Int32Array[] = []
    for (const [own, other] of experts.entries()) {
      neurons.push(await this.#neurons({ left, right }, own, other))
      await onProgress(0.4 + (0.6 * neurons.length) / count)
    }
    return { match: { experts, neurons }, report }
  }

  async #featuresOf(
    layer: number,
    onProgress: (done: number) => Promise<void>,
  ): Promise<ExpertFeatures> {
    const known = this.#features.get(layer)
    if (known) return known
    const { architecture, config } = this.checkpoint
    const { hiddenSize, experts } = config
    const { router = '' } = architecture.forward.experts ?? {}
    const rows = await this.#read(layer, `${router}.weight`)
    const { beforeMlp, norm } = architecture.forward
    const offset = norm === 'rms_plus_one' ? 1 : 0
    const gain = beforeMlp === null ? null : await this.#read(layer, `${beforeMlp}.weight`)
    const scale = (column: number): number => (gain === null ? 1 : gain[column]! + offset)
    const scaled = rows.map((value, index) => value * scale(index % hiddenSize))
    const directions = this.directions.map(
      (value, index) => value * scale(Math.floor(index / DIRECTIONS)),
    )
    const count = experts?.count ?? 0
    const sketches: Float32Array[] = []
    for (let expert = 0; expert < count; expert += 1) {
      sketches.push(await this.#sketch(layer, expert, directions))
      await onProgress((expert + 1) / count)
    }
    const features = {
      router: centred(
        Array.from({ length: count }, (_, expert) =>
          scaled.slice(expert * hiddenSize, (expert + 1) * hiddenSize),
        ),
      ),
      sketch: centred(sketches),
    }
    this.#features.set(layer, features)
    return features
  }

  async #sketch(layer: number, expert: number, directions: Float32Array): Promise<Float32Array> {
    const { hiddenSize } = this.checkpoint.config
    const down = await this.checkpoint.readSlot('experts.down_proj', { layer, expert })
    const parts: Float32Array[] = []
    for (const slot of ['experts.up_proj', 'experts.gate_proj']) {
      const matrix = await this.checkpoint.readSlot(slot, { layer, expert })
      const inner = matrix.length / hiddenSize
      const seen = await this.#multiply(matrix, [inner, hiddenSize], directions)
      parts.push(await this.#multiply(down, [hiddenSize, inner], seen))
    }
    const sketch = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
    parts.forEach((part, index) => sketch.set(part, index * part.length))
    return sketch
  }

  async #multiply(
    left: Float32Array,
    dims: readonly [number, number],
    right: Float32Array,
  ): Promise<Float32Array> {
    const results = await this.product.run({
      left: this.runtime.float32(left, dims),
      right: this.runtime.float32(right, [dims[1], DIRECTIONS]),
    })
    return results.floats('product').slice()
  }

  /** For each neuron of an expert the one of the other. */
  async #neurons(
    { left, right }: { readonly left: number; readonly right: number },
    own: number,
    other: number,
  ): Promise<Int32Array> {
    const { hiddenSize, experts } = this.checkpoint.config
    const n = experts?.intermediateSize ?? 0
    const cost = new Float32Array(n * n)
    for (const slot of ['experts.gate_proj', 'experts.up_proj', 'experts.down_proj']) {
      const a = await this.checkpoint.readSlot(slot, { layer: left, expert: own })
      const b = await this.checkpoint.readSlot(slot, { layer: right, expert: other })
      const isDown = slot === 'experts.down_proj'
      const byNeuron = (values: Float32Array): Float32Array =>
        isDown ? transposed(values, hiddenSize, n) : values
      await this.neurons.subtract(cost, n, byNeuron(a), byNeuron(b))
    }
    return assign(cost, n)
  }

  #read(layer: number, suffix: string): Promise<Float32Array> {
    return this.checkpoint.readFloat32(this.checkpoint.layerTensorName(layer, suffix))
  }
}

/** What a match is worth: beside random orders, and beside what matching finds among distances in random places. */
async function compared(
  cost: Float32Array,
  experts: Int32Array,
): Promise<Omit<ExpertPairReport, 'left' | 'right'>> {
  const n = experts.length
  const random = new Random(0, 'random orders')
  const mean = (order: ArrayLike<number>, of: Float32Array): number =>
    Array.from(order).reduce((sum, f, e) => sum + of[e * n + f]!, 0) / n
  let orders = 0
  const shuffled: number[] = []
  for (let trial = 0; trial < RANDOM_ORDERS; trial += 1) {
    const order = random.shuffle(Uint32Array.from({ length: n }, (_, index) => index))
    orders += mean(order, cost) / RANDOM_ORDERS
    const places = random.shuffle(Uint32Array.from({ length: n * n }, (_, index) => index))
    const other = Float32Array.from(places, (place) => cost[place]!)
    shuffled.push(mean(await assign(other.slice(), n), other))
  }
  shuffled.sort((a, b) => a - b)
  const chance = shuffled[Math.floor(CHANCE * RANDOM_ORDERS)] ?? 0
  return { matched: mean(experts, cost), random: orders, shuffled: chance }
}

/** Vectors less their mean, in place. */
function centred(vectors: Float32Array[]): Float32Array[] {
  const [first] = vectors
  for (let i = 0; i < (first?.length ?? 0); i += 1) {
    const mean = vectors.reduce((sum, vector) => sum + vector[i]!, 0) / vectors.length
    for (const vector of vectors) vector[i]! -= mean
  }
  return vectors
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [product, left, right] = [0, 0, 0]
  for (let i = 0; i < a.length; i += 1) {
    product += a[i]! * b[i]!
    left += a[i]! ** 2
    right += b[i]! ** 2
  }
  return left === 0 || right === 0 ? 0 : product / Math.sqrt(left * right)
}
