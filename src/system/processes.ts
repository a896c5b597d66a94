import { readFileSync } from 'node:fs'
import { systemCode } from './errors'

/**
 * When a process began, in clock ticks since the machine did, where the system says: with its number it names one
 * process, for numbers are given again.
 */
export function beginOf(pid: number): string | null {
  return readStatus(pid)?.begin ?? null
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
  const status = readStatus(pid)
  if (status === null) return true
  return !status.hasEnded && (begin === null || status.begin === begin)
}

/** From `/proc`; `null` on other systems than Linux. */
function readStatus(pid: number): { readonly begin: string; readonly hasEnded: boolean } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program, in parentheses, may hold spaces and parentheses itself.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [state = '', begin] = [fields[0], fields[19]]
    return begin === undefined ? null : { begin, hasEnded: ['Z', 'X', 'x'].includes(state) }
  } catch {
    return null
  }
}
