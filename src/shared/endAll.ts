/**
 * Ends parts one after another, also when one of them fails: those after it must not be left as they are.
 *
 * @throws what the first that failed did, when all have ended.
 */
export async function endAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const end of parts) await end().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}
