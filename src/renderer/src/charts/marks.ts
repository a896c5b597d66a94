import { MARK_PATHS, SERIES_LOOKS, type SeriesLook } from './seriesColors'

export type Mark = SeriesLook['mark']

/** How a series looks: a CSS colour for both themes, and what tells it apart without colour. */
export interface SeriesStyle {
  readonly color: string
  readonly dash: readonly number[]
  readonly mark: Mark
}

/**
 * The look of one of a model's weight types, all of which are given in their order; where there are more types than
 * looks, they begin again. Takes the lighter or the darker colour by itself, as `color-scheme` says.
 */
export function styleOf(type: string, types: readonly string[]): SeriesStyle {
  const { light, dark, dash, mark } =
    SERIES_LOOKS[types.indexOf(type) % SERIES_LOOKS.length] ?? SERIES_LOOKS[0]
  return { color: `light-dark(${light}, ${dark})`, dash, mark }
}

/** Attributes of an SVG path that is a mark around a point; `scale` 1 is ten pixels wide. */
export function markAt(
  mark: Mark,
  x: number,
  y: number,
  scale = 0.8,
): { d: string; transform: string; 'fill-rule': 'evenodd' } {
  return {
    d: MARK_PATHS[mark],
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale})`,
    'fill-rule': 'evenodd',
  }
}
