import type { z } from 'zod'
import { flagOf, UsageError } from './usage'

/**
 * The spec as its schema takes it.
 *
 * @param flags The argument that a value came from, by its place in the spec (`method.predictor`); the last name of the
 *   place is the flag's own where none is given.
 * @throws UsageError that names the flag, what it expects and what it was given.
 */
export function checkedSpec<T>(
  schema: z.ZodType<T>,
  spec: unknown,
  flags: Readonly<Record<string, string>>,
): T {
  const parsed = schema.safeParse(spec, { reportInput: true })
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const given = typeof issue?.input === 'number' ? `, given ${issue.input}` : ''
  throw new UsageError(
    `${flagOfPath(issue?.path ?? [], flags)}: ${uncapitalise(issue?.message ?? 'wrong')}${given}`,
  )
}

function flagOfPath(path: readonly PropertyKey[], flags: Readonly<Record<string, string>>): string {
  const names = path.map(String)
  for (let end = names.length; end > 0; end -= 1) {
    const flag = flags[names.slice(0, end).join('.')]
    if (flag !== undefined) return flag
  }
  // The last name that is not an index is the option's own.
  return flagOf(names.filter((name) => !/^\d+$/.test(name)).at(-1) ?? 'options')
}

export function uncapitalise(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
