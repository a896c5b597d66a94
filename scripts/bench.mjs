/**
 * @file `npm run bench [-- options]`: sets up, bundles tests/bench the way the program is bundled (so that what is
 * measured is what ships) and runs it. `npm run bench -- --help` lists the options.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureReady, root } from './lib/setup.mjs'

await ensureReady()
// Not before: on a fresh clone there is no Vite yet.
const { build } = await import('vite')
// A folder of its own: a second benchmark, or a build in between, must not change what this one runs.
const parent = join(root, '.cache')
mkdirSync(parent, { recursive: true })
const outDir = mkdtempSync(join(parent, 'bench-'))
process.once('exit', () => rmSync(outDir, { recursive: true, force: true }))
const entry = (name) => join(root, 'tests/bench', name)
await build({
  root,
  configFile: false,
  logLevel: 'warn',
  resolve: {
    alias: { '@shared': join(root, 'src/shared'), '@system': join(root, 'src/system') },
  },
  build: {
    ssr: true,
    outDir,
    target: 'node20',
    minify: false,
    rollupOptions: { input: { run: entry('run.ts'), child: entry('child.ts') } },
  },
})
const { runBench } = await import(pathToFileURL(join(outDir, 'run.js')).href)
const { INIT_CWD, npm_lifecycle_event: event } = process.env
process.exitCode = await runBench(process.argv.slice(2), {
  root,
  child: join(outDir, 'child.js'),
  // npm runs scripts in the project's folder; paths are meant relative to where the person is.
  cwd: event === 'bench' && INIT_CWD ? INIT_CWD : process.cwd(),
})
