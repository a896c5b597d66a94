/** @file What is lost when values are stored in a type that does not reach as far. */
import { AppError } from '@shared/errors'
import type { TensorDtype } from '@shared/jobs'
import { formatCount } from '@shared/units'

/** Bit patterns of magnitudes, as float32. */
interface Reach {
  /** The first that rounds to infinity. */
  readonly overflow: number
  /** The last that rounds to zero. */
  readonly vanish: number
  /** The largest value, and the smallest that is not zero, for people. */
  readonly largest: string
  readonly smallest: string
}

const INFINITY_BITS = 0x7f80_0000

const REACHES: Readonly<Record<TensorDtype, Reach | null>> = {
  F32: null,
  BF16: { overflow: 0x7f7f_8000, vanish: 0x8000, largest: '3.39e38', smallest: '9.18e-41' },
  F16: { overflow: 0x477f_f000, vanish: 0x3300_0000, largest: '65,504', smallest: '5.96e-8' },
}

/** Names that a message lists. */
const MAX_NAMED = 5

/** A tensor that another type does not hold. */
export interface RangeLoss {
  readonly tensor: string
  readonly dtype: TensorDtype
  /** Finite values that become infinite. */
  readonly overflowed: number
  /** Everything in it that is not zero becomes zero. */
  readonly hasVanished: boolean
  /** Largest magnitude of its finite values. */
  readonly largest: number
}

/** Counts, over a tensor's values as they come, what storing them as `dtype` would lose. */
export class RangeCount {
  readonly #reach: Reach | null
  #overflowed = 0
  #largest = 0

  constructor(
    private readonly tensor: string,
    private readonly dtype: TensorDtype,
  ) {
    this.#reach = REACHES[dtype]
  }

  add(values: Float32Array): void {
    if (!this.#reach) return
    const { overflow } = this.#reach
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    let [largest, overflowed] = [this.#largest, 0]
    for (let index = 0; index < bits.length; index += 1) {
      const magnitude = (bits[index] as number) & 0x7fff_ffff
      if (magnitude <= largest || magnitude >= INFINITY_BITS) {
        if (magnitude >= overflow && magnitude < INFINITY_BITS) overflowed += 1
        continue
      }
      largest = magnitude
      if (magnitude >= overflow) overflowed += 1
    }
    this.#largest = largest
    this.#overflowed += overflowed
  }

  /** `null` when every value keeps its magnitude, within rounding. */
  get loss(): RangeLoss | null {
    if (!this.#reach) return null
    const hasVanished = this.#largest > 0 && this.#largest <= this.#reach.vanish
    if (this.#overflowed === 0 && !hasVanished) return null
    const [largest = 0] = new Float32Array(Uint32Array.of(this.#largest).buffer)
    const { tensor, dtype } = this
    return { tensor, dtype, overflowed: this.#overflowed, hasVanished, largest }
  }
}

/** Says in a sentence what was lost, or would be. */
export function describeLosses(losses: readonly RangeLoss[]): string {
  const dtype = [...new Set(losses.map((loss) => loss.dtype))].join(' and ')
  const over = losses.filter(({ overflowed }) => overflowed > 0)
  const values = over.reduce((sum, { overflowed }) => sum + overflowed, 0)
  const gone = losses.filter(({ hasVanished }) => hasVanished)
  const parts = [
    ...(over.length > 0
      ? [
          `${formatCount(values)} ${values === 1 ? 'value' : 'values'} in ${tensors(over)} too large for ${dtype}: infinite`,
        ]
      : []),
    ...(gone.length > 0 ? [`${tensors(gone)} too small for ${dtype}: zero throughout`] : []),
  ]
  return parts.join('; ')
}

function tensors(losses: readonly RangeLoss[]): string {
  return losses.length === 1 ? `the tensor "${losses[0]?.tensor}"` : `${losses.length} tensors`
}

/** @throws AppError `bad_request` naming the tensors. */
export function refuseLosses(losses: readonly RangeLoss[]): void {
  const [first] = losses
  if (!first) return
  const { dtype } = first
  const { largest = '', smallest = '' } = REACHES[dtype] ?? {}
  const named = losses.slice(0, MAX_NAMED).map(({ tensor }) => tensor)
  const more = losses.length > named.length ? ` and ${losses.length - named.length} more` : ''
  const magnitude = losses.reduce((most, loss) => Math.max(most, loss.largest), 0)
  const isTooLarge = losses.some(({ overflowed }) => overflowed > 0)
  throw new AppError('bad_request', `Weights would be lost: ${describeLosses(losses)}.`, {
    hint: 'Write BF16 or F32 instead (--dtype bf16), or allow it (--allow-overflow).',
    context: {
      field: 'dtype',
      tensor: named.join(', ') + more,
      expected: isTooLarge ? `at most ${largest} in ${dtype}` : `at least ${smallest} in ${dtype}`,
      actual: `up to ${magnitude.toPrecision(3)}`,
    },
  })
}
