/**
 * A perceptually uniform ramp (viridis: 9 of its 256 colours, interpolated in sRGB, off by less than a just noticeable
 * difference). Equal steps of a value look equal, and its lightness rises evenly: it holds in grey and for every
 * common colour blindness.
 */
const STOPS = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
] as const

/** The colour of a share between 0 and 1, as CSS reads it. */
export function rampColor(share: number): string {
  const clamped = Math.min(1, Math.max(0, share))
  const at = clamped * (STOPS.length - 1)
  const below = Math.min(STOPS.length - 2, Math.floor(at))
  const [from, to] = [STOPS[below], STOPS[below + 1]]
  if (!from || !to) return 'transparent'
  const part = at - below
  const channel = (index: 0 | 1 | 2): number =>
    Math.round(from[index] + (to[index] - from[index]) * part)
  return `rgb(${channel(0)} ${channel(1)} ${channel(2)})`
}

/** The whole ramp, for a legend: from the left to the right. */
export const RAMP_GRADIENT = `linear-gradient(90deg, ${STOPS.map(
  ([r, g, b]) => `rgb(${r} ${g} ${b})`,
).join(', ')})`
