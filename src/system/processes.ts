import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { systemCode } from './errors'

/** When this machine's numbers of processes began to be given, in milliseconds since 1970, to some seconds. */
export function bootTime(): number {
  return Date.now() - uptime() * 1000
}

/**
 * When a process began, where the system says, as a word that may stand in a file's name: with its number it names one
 * process of all that ever ran on the machine, for numbers are given again, and again after each start of the machine.
 */
export function beginOf(pid: number): string | null {
  return process.platform === 'darwin' ? beginByPs(pid) : (readStatus(pid)?.begin ?? null)
}

/**
 * Whether a process of this machine has not ended. One of another user (`EPERM`) counts, as does every doubt; a zombie
 * has ended. This process is alive: what it holds is for `locks.ts` to say.
 *
 * @param begin What {@link beginOf} said of it: another process that has its number now is another one.
 */
export function isAlive(pid: number, begin: string | null = null): boolean {
  // 0 and negative numbers are groups of processes.
  if (pid !== (pid | 0) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false
  }
  if (readStatus(pid)?.hasEnded === true) return false
  const found = begin === null ? null : beginOf(pid)
  return found === null || found === begin
}

/** From `/proc`; `null` on other systems than Linux. */
function readStatus(pid: number): { readonly begin: string; readonly hasEnded: boolean } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program, in parentheses, may hold spaces and parentheses itself.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [state = '', ticks] = [fields[0], fields[19]]
    if (ticks === undefined) return null
    return { begin: `${bootId()}-${ticks}`, hasEnded: ['Z', 'X', 'x'].includes(state) }
  } catch {
    return null
  }
}

/** Ticks count from the machine's start, of which this is the name. */
function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
}

/** Where there is no `/proc`: the date, in seconds, that `ps` tells of any process. */
export function beginByPs(pid: number): string | null {
  try {
    const date = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      timeout: 5_000,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    })
    return date.trim().replace(/[^A-Za-z0-9]+/g, '-') || null
  } catch {
    return null
  }
}
