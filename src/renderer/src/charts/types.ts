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

/** A curve: as many values as places. */
interface ChartCurve {
  readonly x: readonly number[]
  readonly y: readonly Sample[]
}

/** A curve that runs against others. */
export interface RaceLine {
  readonly id: string
  readonly label: string
  readonly style: SeriesStyle
  /** What is compared; it is read, marked and named at its end. */
  readonly main: ChartCurve
  /** Each measured value of it is shown as such. */
  readonly isMarked: boolean
  /** A second curve of the same. */
  readonly thin?: ChartCurve
  /** As measured, behind what is smoothed. */
  readonly faint?: ChartCurve
  /** Lowest and highest of several repeats, where the main curve is their mean. */
  readonly band?: {
    readonly x: readonly number[]
    readonly low: readonly number[]
    readonly high: readonly number[]
  }
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
