/** @file Loaded into an engine before its own code: counts what changes the disk, and ends the process right after one. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const { LESA_TRAP_AT = '0', LESA_TRAP_LOG = '' } = process.env
const at = Number(LESA_TRAP_AT)
let count = 0
const names = []
const write = fs.writeFileSync
process.once('exit', () => LESA_TRAP_LOG && write(LESA_TRAP_LOG, names.join('\n')))

function passed(name) {
  count += 1
  names.push(name)
  if (count === at) process.kill(process.pid, 'SIGKILL')
}

function wrap(object, name, isAsync) {
  const original = object[name]
  object[name] = isAsync
    ? async function (...args) {
        const result = await original.apply(this, args)
        passed(name)
        return result
      }
    : function (...args) {
        const result = original.apply(this, args)
        passed(name)
        return result
      }
}

const handle = await fs.promises.open(process.execPath, 'r')
const prototype = Object.getPrototypeOf(handle)
await handle.close()
for (const name of ['mkdir', 'rename', 'rmdir', 'unlink', 'rm', 'writeFile', 'copyFile', 'cp']) {
  wrap(fs.promises, name, true)
}
for (const name of ['sync', 'write', 'writev', 'writeFile', 'truncate']) {
  if (prototype[name]) wrap(prototype, name, true)
}
for (const name of [
  'writeSync',
  'mkdirSync',
  'renameSync',
  'rmSync',
  'writeFileSync',
  'fsyncSync',
]) {
  wrap(fs, name, false)
}
syncBuiltinESMExports()
