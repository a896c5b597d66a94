import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

/** The project's folder. */
export const PROJECT = resolve(import.meta.dirname, '../..')

/**
 * A file of the built program, by its path in `out`. `npm test` builds before it runs the tests.
 *
 * @throws Error when it is not there.
 */
export function built(path: string): string {
  const file = resolve(PROJECT, 'out', path)
  if (!existsSync(file)) throw new Error(`${file} is missing: run npm run build first.`)
  return file
}
