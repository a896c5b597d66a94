/** Outlines on a 16-pixel grid. */
export const ICONS = {
  check: 'M3.5 8.5l3 3 6-7',
  chevron: 'M6 4l4 4-4 4',
  close: 'M4 4l8 8M12 4l-8 8',
  copy: 'M6 6h7v7H6zM3 10V3h7',
  error: 'M8 4.5v4.2M8 11.2v.3M8 1.8a6.2 6.2 0 100 12.4A6.2 6.2 0 008 1.8z',
  folder: 'M2 4.2h4l1.4 1.6H14v7H2z',
  info: 'M8 7.3v4.2M8 4.5v.3M8 1.8a6.2 6.2 0 100 12.4A6.2 6.2 0 008 1.8z',
  model: 'M8 1.8l6 3-6 3-6-3zM2 8l6 3 6-3M2 11.2l6 3 6-3',
  play: 'M5 3.2v9.6l7.6-4.8z',
  stop: 'M4.2 4.2h7.6v7.6H4.2z',
  up: 'M8 13V3.5M4 7.2l4-4 4 4',
  wait: 'M8 4.4V8l2.4 1.6M8 1.8a6.2 6.2 0 100 12.4A6.2 6.2 0 008 1.8z',
  warning: 'M8 6.2v3.2M8 11.6v.3M8 2.2l6.2 11.2H1.8z',
} as const

export type IconName = keyof typeof ICONS
