/**
 * @file What every command of the project does first: see that the packages are installed and the program is built.
 * Plain Node without packages, because it runs on a fresh clone. Everything it says goes to stderr: stdout belongs to
 * the command.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

const OLDEST_NODE = [20, 19]
const STAMP = join(root, 'out', '.stamp')
/** What the files looked like when they were last compared by content. */
const LOOKS = join(root, 'out', '.looks')
/** npm's record of what it installed. */
const INSTALLED = join(root, 'node_modules', '.package-lock.json')
const LOCK = join(root, '.cache', 'setup.lock')
/** What the program is built from. */
const BUILD_INPUTS = [
  'src',
  'electron.vite.config.ts',
  'tsconfig.base.json',
  'package.json',
  'package-lock.json',
]
/** What a build leaves; one that is missing was removed by hand. */
const BUILD_OUTPUTS = [
  'main/cli.js',
  'main/engine.js',
  'main/index.js',
  'preload/index.cjs',
  'renderer/index.html',
]
/** Longer than any install that makes progress; a lock older than this is nobody's. */
const LOCK_LIMIT_MS = 20 * 60_000

/** Ends the command with one plain line; set-up failures have no stack worth showing. */
export function fail(message, code = 1) {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

/** Installs and builds what is missing or out of date; returns at once when nothing is. */
export async function ensureReady() {
  checkNode()
  if (looksUnchanged()) return
  if (!isInstalled() || !isBuilt()) {
    await withLock(async () => {
      await ensureInstalled()
      await ensureBuilt()
    })
  }
  keepLooks()
}

/** True when no file has changed its size or time since the last full comparison, which takes several times as long. */
function looksUnchanged() {
  try {
    return readFileSync(LOOKS, 'utf8') === looks()
  } catch {
    return false
  }
}

function keepLooks() {
  try {
    writeFileSync(LOOKS, looks())
  } catch {
    // A folder that cannot be written is compared in full each time.
  }
}

/** A digest of the size and time of every file that the full comparison reads. */
function looks() {
  const hash = createHash('sha256').update(process.versions.node)
  const outputs = BUILD_OUTPUTS.map((path) => join('out', path))
  const files = BUILD_INPUTS.flatMap((input) => listFiles(input))
  for (const path of [...files, ...outputs, relative(root, INSTALLED)]) {
    const { size, mtimeMs } = statSync(join(root, path))
    hash.update(`\0${path}\0${size}\0${mtimeMs}`)
  }
  return hash.digest('hex')
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    fail(`Node ${OLDEST_NODE.join('.')} or newer is needed; this is ${process.versions.node}.`)
  }
}

/** True when node_modules holds exactly what package-lock.json asks for, by npm's own record of what it installed. */
export function isInstalled() {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages
  const present = readJson(INSTALLED)?.packages
  if (!wanted) fail('package-lock.json is missing or not JSON; the checkout is not complete.')
  if (!present) return false
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link) return true
    const installed = present[path]
    // Packages for other platforms are left out by npm, and only those.
    if (!installed) return Boolean(entry.optional || entry.devOptional)
    return installed.version === entry.version && installed.integrity === entry.integrity
  })
}

async function ensureInstalled() {
  if (isInstalled()) return
  process.stderr.write('Installing the packages (npm ci) …\n')
  const code = await npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
  if (code !== 0) {
    fail(
      `npm ci failed (exit code ${code}). Its messages are above; the npm registry has to be reachable.`,
    )
  }
  if (!isInstalled()) fail('npm ci ended well, but node_modules does not match package-lock.json.')
}

/** True when out/ was built from exactly the present sources. */
export function isBuilt() {
  return isBuiltFrom(fingerprint())
}

function isBuiltFrom(wanted) {
  return (
    existsSync(STAMP) &&
    readFileSync(STAMP, 'utf8') === wanted &&
    BUILD_OUTPUTS.every((path) => existsSync(join(root, 'out', path)))
  )
}

async function ensureBuilt() {
  const wanted = fingerprint()
  if (isBuiltFrom(wanted)) return
  process.stderr.write('Building the program …\n')
  rmSync(STAMP, { force: true })
  rmSync(LOOKS, { force: true })
  const { code, output } = await capture(process.execPath, [
    join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js'),
    'build',
    '--logLevel=warn',
  ])
  if (code !== 0) fail(`${output}\nThe build failed (exit code ${code}); its messages are above.`)
  writeFileSync(STAMP, wanted)
}

/** A digest of everything the build reads, so that neither clocks nor checkouts matter. */
function fingerprint() {
  const hash = createHash('sha256').update(process.versions.node)
  for (const path of BUILD_INPUTS.flatMap((input) => listFiles(input))) {
    hash.update(`\0${path}\0`).update(readFileSync(join(root, path)))
  }
  return hash.digest('hex')
}

function listFiles(path) {
  const full = join(root, path)
  const isFolder = statSync(full, { throwIfNoEntry: false })?.isDirectory()
  if (isFolder === undefined) return []
  if (!isFolder) return [path]
  return readdirSync(full, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = `${path}/${entry.name}`
      return entry.isDirectory() ? listFiles(name) : [name]
    })
}

/** Runs npm whatever started us; on Windows `npm` is a script that only a shell can start. */
function npm(args) {
  const beside = dirname(process.execPath)
  const scripts = [
    process.env.npm_execpath,
    join(beside, 'node_modules/npm/bin/npm-cli.js'),
    join(beside, '../lib/node_modules/npm/bin/npm-cli.js'),
  ]
  const script = scripts.find((path) => path?.endsWith('npm-cli.js') && existsSync(path))
  // onnxruntime-node's install step would otherwise fetch CUDA files from outside the registry and fail offline.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' }
  const options = { cwd: root, env, stdio: ['ignore', 2, 2] }
  const child = script
    ? spawn(process.execPath, [script, ...args], options)
    : spawn('npm', args, { ...options, shell: process.platform === 'win32' })
  return exitCode(child)
}

/** Runs a program and returns its exit code with everything it said. */
export async function capture(command, args, options = {}) {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text))
  }
  return { code: await exitCode(child), output: output.trimEnd() }
}

/** Resolves to a child's exit code, 1 when it could not be started or was ended by a signal. */
export function exitCode(child) {
  return new Promise((done) => {
    child.once('error', (error) => {
      process.stderr.write(`${error.message}\n`)
      done(1)
    })
    child.once('close', (code) => done(code ?? 1))
  })
}

/** Lets one process at a time set up; the others wait and then find it done. */
async function withLock(action) {
  mkdirSync(dirname(LOCK), { recursive: true })
  let hasSaidSo = false
  for (;;) {
    let handle
    try {
      handle = openSync(LOCK, 'wx')
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      if (!discardIfStale() && !hasSaidSo) {
        hasSaidSo = true
        process.stderr.write('Waiting for another command that is setting up …\n')
      }
      await delay(200)
      continue
    }
    writeSync(handle, String(process.pid))
    closeSync(handle)
    break
  }
  const release = () => rmSync(LOCK, { force: true })
  process.once('exit', release)
  try {
    await action()
  } finally {
    release()
    process.off('exit', release)
  }
}

/** Removes the lock of a process that is no more. Renaming it first makes sure that only one waiter does. */
function discardIfStale() {
  let seen
  let ageMs
  try {
    seen = readFileSync(LOCK, 'utf8')
    ageMs = Date.now() - statSync(LOCK).mtimeMs
  } catch {
    return true
  }
  const owner = Number(seen)
  // A lock without a number was created a moment ago, or its owner died at just that moment.
  const isStale = owner > 0 ? !isAlive(owner) || ageMs > LOCK_LIMIT_MS : ageMs > 10_000
  if (!isStale) return false
  const grave = `${LOCK}.${process.pid}`
  try {
    renameSync(LOCK, grave)
    // A faster waiter may have replaced it meanwhile: then it is that one's and goes back.
    if (readFileSync(grave, 'utf8') !== seen) renameSync(grave, LOCK)
    else rmSync(grave, { force: true })
  } catch {
    // Another waiter was faster.
  }
  return true
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return null
  }
}
