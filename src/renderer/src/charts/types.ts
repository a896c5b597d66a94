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

/** A horizontal line that values are compared with. */
export interface ChartReference {
  readonly value: number
  readonly label: string
}
