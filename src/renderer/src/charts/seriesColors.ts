/** How one series looks in every view: never its colour alone, but its mark and its dash too. */
export interface SeriesLook {
  /** For light and for dark surfaces; at least 3:1 against the panel of each. */
  readonly light: string
  readonly dark: string
  /** Dash pattern in pixels; empty for a solid line. */
  readonly dash: readonly number[]
  readonly mark: 'circle' | 'square' | 'triangle' | 'diamond' | 'cross' | 'star' | 'ring'
}

/**
 * The looks of weight types by their place in the architecture's order. Okabe and Ito's palette, darkened on light
 * surfaces where a hue would not reach 3:1. Attention's four are solid or long-dashed, the MLP's three dotted.
 */
export const SERIES_LOOKS: readonly [SeriesLook, ...SeriesLook[]] = [
  { light: '#0072b2', dark: '#4da3dd', dash: [], mark: 'circle' },
  { light: '#c25400', dark: '#f08a3c', dash: [], mark: 'square' },
  { light: '#00805c', dark: '#2fc79b', dash: [10, 4], mark: 'triangle' },
  { light: '#b0568c', dark: '#e08fbd', dash: [10, 4], mark: 'diamond' },
  { light: '#a87600', dark: '#e6a817', dash: [2, 3], mark: 'cross' },
  { light: '#2a8bbd', dark: '#7cc7f0', dash: [2, 3], mark: 'star' },
  { light: '#4d5766', dark: '#c3cad5', dash: [6, 3, 2, 3], mark: 'ring' },
]

/** Paths of the marks, centred in a square from -5 to 5. */
export const MARK_PATHS: Readonly<Record<SeriesLook['mark'], string>> = {
  circle: 'M4 0a4 4 0 11-8 0 4 4 0 018 0z',
  square: 'M-3.6-3.6h7.2v7.2h-7.2z',
  triangle: 'M0-4.4L4.4 3.6h-8.8z',
  diamond: 'M0-4.8L4.8 0 0 4.8-4.8 0z',
  cross:
    'M-4.4-2.6l1.8-1.8L0-1.8l2.6-2.6 1.8 1.8L1.8 0l2.6 2.6-1.8 1.8L0 1.8l-2.6 2.6-1.8-1.8L-1.8 0z',
  star: 'M0-5l1.4 3.1 3.4.3-2.6 2.3.8 3.3L0 2.3-3 4l.8-3.3-2.6-2.3 3.4-.3z',
  ring: 'M4.4 0a4.4 4.4 0 11-8.8 0 4.4 4.4 0 018.8 0zM2.2 0a2.2 2.2 0 10-4.4 0 2.2 2.2 0 004.4 0z',
}
