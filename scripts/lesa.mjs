#!/usr/bin/env node
/** @file The command line: sets up on first use, then runs the built program in this process. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

try {
  await start()
} catch (error) {
  // Loading the program's files is the first that a low limit stops, before the program itself could say so.
  const [problem, hint] = ['EMFILE', 'ENFILE'].includes(error?.code)
    ? ['system_failed: The system lets this program open no more files.', '(ulimit -n)']
    : error instanceof RangeError && /memory/i.test(error.message)
      ? ['not_enough_memory: There is not enough memory to start.', '(ulimit -v)']
      : []
  if (problem === undefined) throw error
  process.stderr.write(
    `error ${problem}\n  hint  Raise the limit ${hint}, or close other programs.\n`,
  )
  process.exitCode = 1
}

async function start() {
  const { ensureReady, root } = await import('./lib/setup.mjs')
  await ensureReady()
  // npm runs scripts in the project's folder; paths are meant relative to where the person is.
  const { INIT_CWD, npm_lifecycle_event: event } = process.env
  if (event === 'lesa' && INIT_CWD && process.cwd() === root) process.chdir(INIT_CWD)
  await import(pathToFileURL(join(root, 'out/main/cli.js')).href)
}
