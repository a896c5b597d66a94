import type { Comparison } from '@shared/projects'

/** A text, and how perplexity was measured on it. */
export type Measurement = Comparison['measurements'][number]

/** A measurement's name within the view. */
export function measurementKey({
  text,
  context,
  perLine,
}: Pick<Measurement, 'text' | 'context' | 'perLine'>): string {
  return `${text}/${context}/${perLine ? 'line' : 'text'}`
}
