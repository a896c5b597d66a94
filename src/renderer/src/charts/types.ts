import type { Sample } from './ema'
import type { SeriesStyle } from './marks'

/** A line of a chart. */
export interface ChartLine {
  readonly id: string
  readonly label: string
  readonly style: SeriesStyle
  readonly x: readonly number[]
  readonly y: readonly Sample[]
}

/** A place on an axis that is made of named places, such as layers. */
export interface ChartPlace {
  readonly label: string
  readonly isNew: boolean
}

/** A line across a chart that values are compared with. */
export interface ChartReference {
  readonly value: number
  readonly label: string
}

/** The part of a picture between its axes, in pixels. */
export interface PlotArea {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

/** What the cursor reads, and where in the picture, in pixels. */
export interface Reading {
  readonly x: number
  readonly y?: number
  readonly name: string
  readonly rows: readonly {
    readonly label?: string
    readonly value: string
    /** The value in full, where `value` is rounded. */
    readonly title?: string
    readonly color?: string
  }[]
}
