import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureReady, root } from './setup.mjs'

/**
 * Sets up, bundles a program of the tests the way the program itself is bundled (so that what is tried is what ships),
 * and loads its entry `run`. The bundle goes when the process ends.
 *
 * @param {string} name Of what is bundled.
 * @param {Record<string, string>} input Files within the project, by the names of their bundles.
 * @returns What `run` exports, and where the bundles are.
 */
export async function loadBundled(name, input) {
  await ensureReady()
  // Not before: on a fresh clone there is no Vite yet.
  const { build } = await import('vite')
  // A folder of its own: a second one, or a build in between, must not change what this one runs.
  const parent = join(root, '.cache')
  mkdirSync(parent, { recursive: true })
  const outDir = mkdtempSync(join(parent, `${name}-`))
  process.once('exit', () => rmSync(outDir, { recursive: true, force: true }))
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [modulePath(outDir)],
    resolve: {
      alias: { '@shared': join(root, 'src/shared'), '@system': join(root, 'src/system') },
    },
    build: {
      ssr: true,
      outDir,
      target: 'node20',
      minify: false,
      rollupOptions: {
        input: Object.fromEntries(
          Object.entries(input).map(([key, file]) => [key, join(root, file)]),
        ),
      },
    },
  })
  return { run: await import(pathToFileURL(join(outDir, 'run.js')).href), outDir }
}

/**
 * What the program's build does for `?modulePath`: a bundle of its own, whose path is what is imported.
 *
 * @param {string} outDir
 */
function modulePath(outDir) {
  const suffix = '?modulePath'
  return {
    name: 'module-path',
    enforce: 'pre',
    load(id) {
      if (!id.endsWith(suffix)) return null
      const source = id.slice(0, -suffix.length)
      const fileName = `${basename(source, '.ts')}.js`
      this.emitFile({ type: 'chunk', id: source, fileName })
      return `export default ${JSON.stringify(join(outDir, fileName))}`
    },
  }
}
