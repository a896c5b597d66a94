import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@shared/errors'
import { codeOf } from '../storage/files'

/** Projects that this process has open: a lock with its own number that is not among them is a dead process's. */
const held = new Set<string>()

/**
 * Keeps two programs of one person (the desktop shell and `lesa serve`) from working on a project at once. The lock is
 * kept with the person's settings, not in the project's folder: what is in there may be sent to somebody else.
 */
export class ProjectLock {
  private constructor(private readonly file: string) {}

  /**
   * @param folder Of the person, made if need be.
   * @throws AppError `in_use` when a living process has the project open.
   */
  static async acquire(folder: string, id: string, project: string): Promise<ProjectLock> {
    const locks = join(folder, 'locks')
    const file = join(locks, `${id}.lock`)
    await mkdir(locks, { recursive: true })
    for (let attempt = 0; attempt < 3; attempt += 1) {
      if (held.has(file)) throw inUse(project, process.pid)
      try {
        await writeFile(file, String(process.pid), { flag: 'wx' })
        held.add(file)
        return new ProjectLock(file)
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error
        const owner = Number(await readFile(file, 'utf8').catch(() => ''))
        if (isAlive(owner)) throw inUse(project, owner)
        await rm(file, { force: true })
      }
    }
    throw inUse(project, 0)
  }

  async release(): Promise<void> {
    held.delete(this.file)
    await rm(this.file, { force: true })
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

function inUse(project: string, pid: number): AppError {
  return new AppError('in_use', `${project} is open in another window of the program.`, {
    hint: 'Close it there first.',
    context: { file: project, ...(pid > 0 ? { actual: `process ${pid}` } : {}) },
  })
}
