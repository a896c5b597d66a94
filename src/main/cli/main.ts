import { reportError } from './errors'
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE } from './exitCodes'
import type { CliIo, ProgramPaths } from './io'
import { paint } from './progress'
import { UsageError } from './usage'
import { buildProgram, usageErrorOf } from './program'

/**
 * Runs one command and returns the exit code: 0 done, 1 failed, 2 wrong usage, 128 plus a signal's number when it was
 * cancelled by one.
 *
 * @param args Without the program's own name.
 */
export async function runCli(
  args: readonly string[],
  io: CliIo,
  paths: ProgramPaths,
): Promise<number> {
  let exitCode = EXIT_OK
  const program = buildProgram(io, paths, (code) => (exitCode = code))
  try {
    if (args.length === 0) {
      const commands = program.createHelp().visibleCommands(program)
      const names = commands.map((command) => command.name())
      throw new UsageError(
        `which command? ${names.slice(0, -1).join(', ')} or ${names.at(-1)}; see lesa --help`,
      )
    }
    await program.parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (thrown) {
    return await reportThrown(thrown, io, args.includes('--json'))
  }
}

async function reportThrown(thrown: unknown, io: CliIo, json: boolean): Promise<number> {
  try {
    const usage = usageErrorOf(thrown)
    if (usage === null) return EXIT_OK
    io.stderr.write(`${paint(io, '31', 'error')}: ${usage.message}\n`)
    return EXIT_USAGE
  } catch {
    const { toAppError } = await import('@shared/errors')
    reportError(io, toAppError(thrown), json)
    return EXIT_FAILED
  }
}
