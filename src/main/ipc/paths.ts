import { homedir } from 'node:os'
import { isAbsolute, join, normalize, resolve } from 'node:path'
import { AppError } from '@shared/errors'

/**
 * Turns a path that a person typed, dropped or chose into an absolute one. `~` is the home folder.
 *
 * @throws AppError `path_denied` for a relative path (relative to what?), or one that no file system can hold.
 */
export function resolvePath(text: string): string {
  const path = text.trim()
  if (path.includes('\0')) {
    throw new AppError('path_denied', 'A path cannot contain a NUL character.')
  }
  if (path === '~') return homedir()
  if (/^~[/\\]/.test(path)) return join(homedir(), path.slice(2))
  if (!isAbsolute(path)) {
    throw new AppError('path_denied', `${path} is not a full path.`, {
      hint: 'Give the whole path, from the root or the drive on.',
      context: { file: path },
    })
  }
  return resolve(normalize(path))
}
