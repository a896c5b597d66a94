import type { AppError } from '@shared/errors'
import type { CliIo } from './io'
import { paint, printable } from './progress'

/** Writes an error to stderr: for people, or with `json` as one JSON document on one line. */
export function reportError(io: CliIo, error: AppError, json: boolean): void {
  const { stack, ...data } = error.toData()
  if (json) {
    io.stderr.write(`${JSON.stringify({ error: data })}\n`)
    return
  }
  const details: (readonly [string, string])[] = [
    ...Object.entries(data.context ?? {}),
    ...(data.hint === undefined ? [] : [['hint', data.hint] as const]),
  ]
  const longest = Math.max(0, ...details.map(([name]) => name.length))
  const lines = details.map(([name, value]) => `  ${name.padEnd(longest)}  ${printable(value)}\n`)
  io.stderr.write(
    `${paint(io, '31', `error ${data.code}`)}: ${printable(data.message)}\n${lines.join('')}`,
  )
  // A defect is reported with its place in the program.
  if (data.code === 'bug' && stack !== undefined) io.stderr.write(`${printable(stack)}\n`)
}
