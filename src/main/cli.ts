/** @file The command line's entry; `scripts/lesa.mjs` runs its built form. */
import { join } from 'node:path'
import { runCli } from './cli/main'

// A reader that has seen enough (`| head`) closes the pipe; that is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

const here = import.meta.dirname
process.exitCode = await runCli(
  process.argv.slice(2),
  { stdout: process.stdout, stderr: process.stderr, env: process.env, cwd: process.cwd() },
  {
    engine: join(here, 'engine.js'),
    renderer: join(here, '../renderer'),
    resources: join(here, '../../resources'),
  },
)
