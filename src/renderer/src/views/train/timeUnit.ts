/** A unit of time, as an axis is marked in it. */
export interface TimeUnit {
  readonly name: 's' | 'min' | 'h'
  readonly seconds: number
}

/** The unit in which so many seconds are a number that is easily read. */
export function timeUnitOf(seconds: number): TimeUnit {
  if (seconds < 180) return { name: 's', seconds: 1 }
  return seconds < 3 * 3600 ? { name: 'min', seconds: 60 } : { name: 'h', seconds: 3600 }
}
