import { isAbsolute, posix, relative, resolve, sep, win32 } from 'node:path'

/**
 * How a project names its model: relative when the model lies in the project's folder or beside it, so that both can be
 * moved together; else absolute.
 */
export function storedModelPath(project: string, model: string): string {
  const path = relative(project, model)
  if (path === '' || isAbsolute(path)) return model
  const names = path.split(sep)
  return names.lastIndexOf('..') > 0 ? model : names.join('/')
}

/** The place that {@link storedModelPath} names, on this machine; `null` for one that only another system can have. */
export function resolveModelPath(project: string, stored: string): string | null {
  if (stored === '') return null
  if (isAbsolute(stored)) return resolve(stored)
  // `C:\…` on a system that knows no drives, or `/…` on one that does.
  if (win32.isAbsolute(stored) || posix.isAbsolute(stored)) return null
  return resolve(project, ...stored.split('/'))
}
