/**
 * @file `npm start`: opens the workbench in Electron; where Electron cannot run, says why and serves the same
 * workbench to a browser on this machine (`npm start -- --browser` asks for that; `--port N` goes with it).
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { capture, ensureReady, exitCode, root } from './lib/setup.mjs'

/** Electron's binary is some 100 MB; past this a connection is blocked rather than slow. */
const DOWNLOAD_LIMIT_MS = 180_000

await ensureReady()
const args = process.argv.slice(2)
const wantsBrowser = args.includes('--browser')
const obstacle = wantsBrowser ? null : (noWindowReason() ?? (await fetchElectron()))
if (wantsBrowser || obstacle !== null) {
  if (obstacle !== null) {
    process.stderr.write(`${obstacle}\nThe workbench is served to your browser instead.\n`)
  }
  process.argv.splice(2, Infinity, 'serve', ...args.filter((arg) => arg !== '--browser'))
  await import('./lesa.mjs')
} else {
  // Set by some editors' terminals, it would make Electron run as plain Node.
  const env = { ...process.env }
  delete env.ELECTRON_RUN_AS_NODE
  const child = spawn(electronBinary(), [root, ...args], { cwd: root, stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  process.exitCode = await exitCode(child)
  if (process.exitCode !== 0) {
    process.stderr.write(
      '`npm start -- --browser` serves the workbench to a browser without Electron.\n',
    )
  }
}

/** Why no window can be opened here at all, or `null`. */
function noWindowReason() {
  if (process.platform !== 'linux') return null
  if (!process.env.DISPLAY && !process.env.WAYLAND_DISPLAY)
    return 'There is no display on this machine.'
  if (process.getuid() === 0) return 'Electron keeps its sandbox on, and that does not run as root.'
  return null
}

/** Electron's binary is not in its npm package. Returns why it cannot be had, or `null` when it is there. */
async function fetchElectron() {
  if (electronBinary() !== null) return null
  process.stderr.write('Fetching Electron (once, about 100 MB) …\n')
  const script = join(root, 'node_modules/electron/install.js')
  const { code, output } = await capture(process.execPath, [script], {
    timeout: DOWNLOAD_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  if (code === 0 && electronBinary() !== null) return null
  const detail = output.split('\n').find((line) => /\S/.test(line)) ?? 'no answer in time'
  const reason = detail.trim().replace(/^\w*Error: /, '')
  return `Electron's binary could not be fetched from its releases on GitHub: ${reason}.`
}

function electronBinary() {
  const folder = join(root, 'node_modules/electron')
  const pathFile = join(folder, 'path.txt')
  if (!existsSync(pathFile)) return null
  const binary = join(
    process.env.ELECTRON_OVERRIDE_DIST_PATH ?? join(folder, 'dist'),
    readFileSync(pathFile, 'utf8'),
  )
  return existsSync(binary) ? binary : null
}
