import type { Estimate } from './types'

/**
 * What the program estimated before it began, where the result of a job carries it:
 * `"estimate": {"seconds": [low, high], "peak_bytes": n}`.
 */
export function estimateOf(result: Readonly<Record<string, unknown>>): Estimate | null {
  const { estimate } = result
  if (typeof estimate !== 'object' || estimate === null) return null
  const { seconds, peak_bytes: peak } = estimate as { seconds?: unknown; peak_bytes?: unknown }
  const [low, high] = Array.isArray(seconds) ? (seconds as unknown[]) : []
  return {
    seconds: typeof low === 'number' && typeof high === 'number' ? [low, high] : null,
    peakBytes: typeof peak === 'number' ? peak : null,
  }
}
