/** The command was called wrongly: one line that says how, and exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `batchSize` → `--batch-size`. */
export function flagOf(attribute: string): string {
  return `--${attribute.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
