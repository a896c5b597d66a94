/**
 * @file `npm run bench [-- names]`: sets up, bundles tests/bench/run.ts the way the program is bundled (so that what
 * is measured is what ships) and runs it in this process with the arguments given.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureReady, fail, root } from './lib/setup.mjs'

await ensureReady()
const entry = join(root, 'tests/bench/run.ts')
if (!existsSync(entry)) fail('tests/bench/run.ts is missing.')
const { build } = await import('vite')
const outDir = join(root, '.cache/bench')
await build({
  root,
  configFile: false,
  logLevel: 'warn',
  resolve: { alias: { '@shared': join(root, 'src/shared') } },
  build: { ssr: entry, outDir, emptyOutDir: true, target: 'node20', minify: false },
})
process.argv[1] = join(outDir, 'run.js')
await import(pathToFileURL(process.argv[1]).href)
