/** @file The scores of a model's places as rows of a heat map, a column for each layer or gap. */
import type { MeasuredLoss, PlacesReport } from '@shared/places'
import { formatValue } from '../../lib/numbers'
import { PLACES } from './strings'

/** A score of every layer or of the gap after it. */
export interface ScoreRow {
  readonly key: string
  /** Shares 0 … 1 of the ramp; `null` where there is no number. */
  readonly shares: readonly (number | null)[]
  /** Between which numbers its values lie. */
  readonly range: string
  readonly startsGroup?: boolean
  readonly values: readonly (number | null)[]
  /** What is read out for a column. */
  readonly describe: (column: number) => string
}

/** 0 for the lowest, 1 for the highest: the first layer stands so far out that by value all others would look alike. */
function rankOf(value: number, all: readonly number[]): number {
  const below = all.filter((other) => other < value).length
  const equal = all.filter((other) => other === value).length
  return all.length > 1 ? (below + (equal - 1) / 2) / (all.length - 1) : 0.5
}

/** @param startsGroup Whether a rule is drawn above the row. */
function row(
  key: string,
  values: readonly (number | null)[],
  describe: (value: number, column: number) => string,
  startsGroup = false,
): ScoreRow {
  const known = values.filter((value) => value !== null)
  const [low, high] = [Math.min(...known), Math.max(...known)]
  return {
    key,
    values,
    shares: values.map((value) => (value === null ? null : rankOf(value, known))),
    range: known.length === 0 ? '–' : `${formatValue(low)} … ${formatValue(high)}`,
    startsGroup,
    describe: (column) => {
      const value = values[column] ?? null
      return value === null ? PLACES.noValue : describe(value, column)
    },
  }
}

/** How far a loss lies above the untouched model's. */
export const changeOf = ({ loss }: Pick<MeasuredLoss, 'loss'>, base: number): number | null =>
  loss === null ? null : loss - base

/** Gaps first: what is asked there is where a layer would go. */
export function scoreRows({ layers, gaps, base_loss: base }: PlacesReport): ScoreRow[] {
  const withInterval = (measured: readonly MeasuredLoss[]) => (value: number, column: number) =>
    PLACES.change(value, measured[column]?.difference ?? null)
  const gradient = (name: string): (number | null)[] =>
    gaps.map(({ candidates }) => candidates.find((c) => c.candidate === name)?.gradient ?? null)
  const fits = gaps.map(({ fit }) => fit)
  const skips = layers.map(({ skip }) => skip)
  const repeats = layers.map(({ repeat }) => repeat)
  const plain = (value: number): string => formatValue(value)
  const { rows } = PLACES
  return [
    row(
      rows.fit,
      fits.map((fit) => changeOf(fit, base)),
      withInterval(fits),
    ),
    row(
      rows.slope,
      gaps.map(({ slope }) => slope),
      plain,
    ),
    row(rows.copy, gradient('copy'), plain),
    row(rows.mean, gradient('mean'), plain),
    row(
      rows.cosine,
      gaps.map((gap) => gap.weight_cosine),
      plain,
    ),
    row(
      rows.cka,
      gaps.map(({ cka }) => cka),
      plain,
    ),
    row(
      rows.skip,
      skips.map((skip) => changeOf(skip, base)),
      withInterval(skips),
      true,
    ),
    row(
      rows.repeat,
      repeats.map((repeat) => changeOf(repeat, base)),
      withInterval(repeats),
    ),
    row(
      rows.influence,
      layers.map(({ influence }) => influence),
      plain,
    ),
    row(
      rows.update,
      layers.map(({ update }) => update),
      plain,
    ),
  ]
}

/** Blocks run twice: a row for each length, a column for each first layer, all on one scale. */
export function repeatRows({
  repeats,
  num_hidden_layers: layers,
  base_loss: base,
}: PlacesReport): ScoreRow[] {
  const longest = Math.max(0, ...repeats.map(({ first, end }) => end - first))
  const values = repeats.map((block) => changeOf(block, base)).filter((value) => value !== null)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return Array.from({ length: longest }, (_, index) => {
    const length = index + 1
    const blocks = Array.from({ length: layers }, (__, first) =>
      repeats.find((block) => block.first === first && block.end === first + length),
    )
    const own = blocks.map((block) => (block ? changeOf(block, base) : null))
    const known = own.filter((value) => value !== null)
    return {
      key: PLACES.length(length),
      values: own,
      shares: own.map((value) =>
        value === null ? null : high > low ? (value - low) / (high - low) : 0.5,
      ),
      range:
        known.length === 0
          ? '–'
          : `${formatValue(Math.min(...known))} … ${formatValue(Math.max(...known))}`,
      describe: (first) => {
        const value = own[first] ?? null
        return value === null
          ? PLACES.noValue
          : PLACES.change(value, blocks[first]?.difference ?? null)
      },
    }
  })
}
