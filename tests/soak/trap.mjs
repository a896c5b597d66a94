/**
 * @file Loaded into an engine before its own code: after each operation that changes the disk it notes what the folder
 * LESA_TRAP_PLACE holds, which is what a SIGKILL at that point would leave, and keeps every state that differs from the
 * one before in LESA_TRAP_COPIES. Folders are removed entry by entry, so that half-removed ones are states too.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'

const { LESA_TRAP_PLACE: place, LESA_TRAP_COPIES: copies } = process.env
const { cpSync, lstatSync, readdirSync, readFileSync, rmdirSync, unlinkSync, writeFileSync } = fs
const operations = []
let [last, states, isNoting] = [contentOf(place), 0, false]

function entriesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => ({ path: join(entry.parentPath, entry.name), isFile: entry.isFile() }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** What lies in a folder: each path with a digest of its bytes. */
function contentOf(folder) {
  return new Map(
    entriesOf(folder).map(({ path, isFile }) => {
      const bytes = isFile ? readFileSync(path) : ''
      return [path.slice(folder.length + 1), createHash('sha256').update(bytes).digest('hex')]
    }),
  )
}

/** What has changed, without numbers, random names and types of weights: one kind of point has one text. */
function changeSince(before, now) {
  const paths = [...new Set([...before.keys(), ...now.keys()])].sort()
  const changed = paths.filter((path) => before.get(path) !== now.get(path))
  const kinds = changed.map((path) => {
    const sign = !before.has(path) ? '+' : now.has(path) ? '~' : '-'
    return sign + path.replace(/[0-9a-f]{8,}|\d+/g, '#').replace(/[a-z]+_proj/g, 'type')
  })
  return [...new Set(kinds)].join(',').replaceAll(' ', '')
}

function note(name) {
  if (isNoting) return
  isNoting = true
  try {
    const now = contentOf(place)
    const change = changeSince(last, now)
    if (change !== '') {
      states += 1
      cpSync(place, join(copies, String(states)), { recursive: true, preserveTimestamps: true })
    }
    last = now
    // States count from 1; 0 is how it began.
    operations.push(`${name} ${states} ${change}`)
  } catch (error) {
    // Another of the engine's operations was under way: its own end notes what it made.
    if (error.code !== 'ENOENT') throw error
  }
  isNoting = false
}

function wrap(object, name, isAsync) {
  const original = object[name]
  object[name] = isAsync
    ? async function (...args) {
        if (name === 'rm') empty(args[0])
        const result = await original.apply(this, args)
        note(name)
        return result
      }
    : function (...args) {
        const result = original.apply(this, args)
        note(name)
        return result
      }
}

/** Removes what a folder holds, deepest first. */
function empty(folder) {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return
  for (const { path } of entriesOf(folder).reverse()) {
    if (lstatSync(path).isDirectory()) rmdirSync(path)
    else unlinkSync(path)
    note('rm')
  }
}

process.once('exit', () => writeFileSync(join(copies, 'operations'), operations.join('\n')))

const handle = await fs.promises.open(process.execPath, 'r')
const prototype = Object.getPrototypeOf(handle)
await handle.close()
const made = ['open', 'mkdir', 'mkdtemp', 'writeFile', 'appendFile', 'copyFile', 'cp', 'link']
const changed = ['rename', 'rmdir', 'unlink', 'rm', 'truncate', 'utimes']
for (const name of [...made, ...changed]) wrap(fs.promises, name, true)
for (const name of ['sync', 'datasync', 'write', 'writev', 'writeFile', 'appendFile', 'truncate']) {
  wrap(prototype, name, true)
}
for (const name of [
  ...[...made, ...changed].map((each) => `${each}Sync`),
  ...['writeSync', 'writevSync', 'fsyncSync', 'fdatasyncSync', 'ftruncateSync'],
]) {
  wrap(fs, name, false)
}
syncBuiltinESMExports()
