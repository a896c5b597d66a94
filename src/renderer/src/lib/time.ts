const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** `12 min ago`, `yesterday, 14:05`, `3 Mar 2026`: how people speak of when something was. */
export function formatWhen(at: number, now: number): string {
  const ago = now - at
  if (ago < MINUTE) return 'just now'
  if (ago < HOUR) return `${Math.floor(ago / MINUTE)} min ago`
  const time = new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
  const midnight = new Date(now).setHours(0, 0, 0, 0)
  if (at >= midnight) return `today, ${time}`
  if (at >= midnight - DAY) return `yesterday, ${time}`
  return new Date(at).toLocaleDateString('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
  })
}
