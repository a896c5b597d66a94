/** The command was called wrongly: one line that says how, and exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `batchSize` → `--batch-size`; the one negated option keeps its own spelling. */
export function flagOf(attribute: string): string {
  if (attribute === 'svd') return '--no-svd'
  return `--${attribute.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
