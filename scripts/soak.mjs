/**
 * @file `npm run soak -- [KIND …] [--count N] [--seed S] [--limit SECONDS]`: tries to make the program lose or damage
 * something, in the ways that docs/reliability.md describes. One line of JSON for each kind; the exit code is 1 when
 * anything went wrong. Bundles tests/soak as the program is bundled, and runs it.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureReady, root } from './lib/setup.mjs'

await ensureReady()
// Not before: on a fresh clone there is no Vite yet.
const { build } = await import('vite')
const parent = join(root, '.cache')
mkdirSync(parent, { recursive: true })
const outDir = mkdtempSync(join(parent, 'soak-'))
process.once('exit', () => rmSync(outDir, { recursive: true, force: true }))
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
    rollupOptions: {
      input: {
        run: join(root, 'tests/soak/run.ts'),
        tokenizer: join(root, 'src/main/engine/evaluation/tokenizerProcess.ts'),
      },
    },
  },
})
const { runSoak } = await import(pathToFileURL(join(outDir, 'run.js')).href)
process.exit(await runSoak(process.argv.slice(2), root))
