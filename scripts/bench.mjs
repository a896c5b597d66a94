/** @file `npm run bench [-- options]`: runs tests/bench. `npm run bench -- --help` lists the options. */
import { join } from 'node:path'
import { loadBundled } from './lib/bundle.mjs'
import { root } from './lib/setup.mjs'

const { run, outDir } = await loadBundled('bench', {
  run: 'tests/bench/run.ts',
  child: 'tests/bench/child.ts',
})
const { INIT_CWD, npm_lifecycle_event: event } = process.env
process.exitCode = await run.runBench(process.argv.slice(2), {
  root,
  child: join(outDir, 'child.js'),
  // npm runs scripts in the project's folder; paths are meant relative to where the person is.
  cwd: event === 'bench' && INIT_CWD ? INIT_CWD : process.cwd(),
})
