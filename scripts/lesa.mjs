#!/usr/bin/env node
/** @file The command line: sets up on first use, then runs the built program in this process. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureReady, root } from './lib/setup.mjs'

await ensureReady()
// npm runs scripts in the project's folder; paths are meant relative to where the person is.
const { INIT_CWD, npm_lifecycle_event: event } = process.env
if (event === 'lesa' && INIT_CWD && process.cwd() === root) process.chdir(INIT_CWD)
await import(pathToFileURL(join(root, 'out/main/cli.js')).href)
