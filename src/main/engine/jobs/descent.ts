import type {
  DescentResult,
  JobEvent,
  LayerChange,
  PartChange,
  TensorChange,
  TensorDtype,
} from '@shared/jobs'
import { fewOf } from '@shared/text'
import { Checkpoint } from '../checkpoint/Checkpoint'
import { isTensorDtype } from '../checkpoint/dtypes'
import { relate } from '../descent/relation'
import {
  bytesOf,
  ChangeSum,
  measure,
  roundingOf,
  samenessOf,
  type Models,
  type Pair,
  type Sameness,
} from '../descent/weights'
import { remarksOf } from './remarks'
import type { JobRunner } from './runner'

const MAX_NAMED = 100

/**
 * Recognises a checkpoint that was trained elsewhere by the grown one that it began from, and says what the training
 * changed. Both are read once, some megabytes at a time; what changed is read a second time.
 *
 * @throws AppError what opening a checkpoint throws, and what {@link relate} does for one that cannot be.
 */
export const run: JobRunner<'descent'> = async function* (spec, { signal }) {
  const started = performance.now()
  const start = await Checkpoint.open(spec.start)
  try {
    const trained = await Checkpoint.open(spec.trained)
    try {
      const models = { start, trained }
      const relation = await relate(models)
      yield { type: 'plan', steps: [{ id: 'compare', label: 'compare weights', weight: 1 }] }
      yield* remarksOf(trained)
      const comparison = new Comparison(models, signal, [
        ...relation.outside,
        ...relation.layers.flat(),
      ])
      const outside: TensorChange[] = []
      for (const pair of relation.outside) {
        const found = yield* comparison.tensor(pair)
        if (found) outside.push(found)
      }
      const layers: LayerChange[] = []
      for (const [layer, pairs] of relation.layers.entries()) {
        const isNew = relation.newLayers.includes(layer)
        layers.push(yield* comparison.layer(layer, pairs, isNew))
      }
      await start.assertUnchanged()
      await trained.assertUnchanged()
      const { identical, converted, roundedTo, nonFinite } = comparison
      const warnings = [...relation.remarks, ...cautions(comparison)]
      for (const text of warnings) yield { type: 'log', level: 'warning', text }
      return {
        kind: 'descent',
        trained: spec.trained,
        start: spec.start,
        architecture: trained.config.architectureName,
        num_hidden_layers: trained.config.numHiddenLayers,
        new_layers: relation.newLayers,
        layers,
        outside,
        identical,
        converted,
        dtypes: { start: dtypesOf(start), trained: dtypesOf(trained) },
        rounded_to: roundedTo,
        non_finite: nonFinite.slice(0, MAX_NAMED),
        warnings,
        seconds: (performance.now() - started) / 1000,
      } satisfies DescentResult
    } finally {
      await trained.close()
    }
  } finally {
    await start.close()
  }
}

/** Of an original layer that is as it was. */
const UNCHANGED = { change: 0, norm: 0, relative: 0, max: 0 }

/** How far a tensor has moved, and its parts. */
interface Moved {
  readonly sum: ChangeSum
  readonly parts: readonly PartChange[]
}

/** Tensor after tensor, counting what is as it was. */
class Comparison {
  identical = 0
  converted = 0
  roundedTo: TensorDtype | null = null
  readonly nonFinite: string[] = []
  readonly #counts = new Set<Pair>()
  readonly #total: number
  #done = 0
  #told = 0

  constructor(
    private readonly models: Models,
    private readonly signal: AbortSignal,
    pairs: readonly Pair[],
  ) {
    this.#total = pairs.reduce((sum, pair) => sum + bytesOf(models, pair), 0)
  }

  /** What became of a tensor outside the layers; `null` where it is as it was. */
  async *tensor(pair: Pair): AsyncGenerator<JobEvent, TensorChange | null> {
    if (!(yield* this.#isChanged(pair))) return null
    const { sum } = yield* this.#measured(pair)
    return { tensor: pair.trained, ...sum.result() }
  }

  async *layer(
    layer: number,
    pairs: readonly Pair[],
    isNew: boolean,
  ): AsyncGenerator<JobEvent, LayerChange> {
    let isTouched = false
    for (const pair of isNew ? [] : pairs) {
      if (yield* this.#isChanged(pair)) isTouched = true
    }
    if (!isNew && !isTouched) {
      return { layer, is_new: false, is_changed: false, ...UNCHANGED, parts: [] }
    }
    const all = new ChangeSum()
    const parts: PartChange[] = []
    for (const pair of pairs) {
      const measured = yield* this.#measured(pair)
      all.merge(measured.sum)
      parts.push(...measured.parts)
    }
    const types = this.models.trained.weightTypes
    const rank = ({ part }: PartChange): number => {
      const place = types.indexOf(part)
      return place === -1 ? types.length : place
    }
    const change = all.result()
    return {
      layer,
      is_new: isNew,
      is_changed: isTouched || change.change > 0 || all.nonFinite > 0,
      ...change,
      parts: parts.toSorted((a, b) => rank(a) - rank(b)),
    }
  }

  /** Of an original tensor: rounding on the way is no training. */
  async *#isChanged(pair: Pair): AsyncGenerator<JobEvent, boolean> {
    const sameness = yield* this.#sameness(pair)
    if (sameness === 'identical') this.identical += 1
    if (sameness === 'converted') this.converted += 1
    if (sameness !== 'changed') return false
    const rounding = await roundingOf(this.models, pair, this.signal)
    if (rounding === null) return true
    this.roundedTo = rounding
    this.converted += 1
    return false
  }

  async *#sameness(pair: Pair): AsyncGenerator<JobEvent, Sameness> {
    return yield* this.#counted(pair, samenessOf(this.models, pair, this.signal))
  }

  async *#measured(pair: Pair): AsyncGenerator<JobEvent, Moved> {
    const found = measure(this.models, pair, this.signal)
    const { parts, nonFinite } = yield* this.#counted(pair, found)
    if (nonFinite > 0) this.nonFinite.push(pair.trained)
    const sum = new ChangeSum()
    for (const part of parts) sum.merge(part.sum)
    return { sum, parts: parts.map(({ part, sum: own }) => ({ part, ...own.result() })) }
  }

  /** Each tensor's bytes count once, whether it is looked through in part or twice. */
  async *#counted<T>(pair: Pair, work: AsyncGenerator<number, T>): AsyncGenerator<JobEvent, T> {
    const before = this.#counts.has(pair) ? null : this.#done
    this.#counts.add(pair)
    for (;;) {
      const next = await work.next()
      if (before !== null) {
        this.#done = next.done ? before + bytesOf(this.models, pair) : this.#done + next.value
        yield* this.#tell()
      }
      if (next.done) return next.value
    }
  }

  /** Two hundred times at the most. */
  *#tell(): Generator<JobEvent> {
    const isOver = this.#done >= this.#total
    if (!isOver && this.#done - this.#told < this.#total / 200) return
    this.#told = this.#done
    yield { type: 'step', id: 'compare', done: this.#done, total: this.#total }
  }
}

function cautions({ roundedTo, nonFinite }: Comparison): string[] {
  return [
    ...(roundedTo === null
      ? []
      : [
          `The model was ${roundedTo} on its way, although it is stored wider: what rounding did is part of the new layers' changes.`,
        ]),
    ...(nonFinite.length === 0
      ? []
      : [
          `Weights are NaN or infinite in ${fewOf(nonFinite)}: they are left out of every number here.`,
        ]),
  ]
}

function dtypesOf({ tensors }: Checkpoint): string[] {
  const found = new Set([...tensors.values()].map(({ dtype }) => dtype))
  return [...found].filter(isTensorDtype).sort()
}
