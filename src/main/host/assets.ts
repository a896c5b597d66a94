import { realpath, stat } from 'node:fs/promises'
import { extname, resolve, sep } from 'node:path'

/** What the renderer's bundle consists of; anything else is not served. */
const MIME_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
}

export interface Asset {
  readonly file: string
  readonly type: string
}

/**
 * Finds the file of the renderer's bundle that a URL's path names; `null` when there is none, or when the path leads
 * out of the bundle by whatever trick: dots, encoded or not, backslashes, drives, NUL, symbolic links.
 */
export async function resolveAsset(root: string, pathname: string): Promise<Asset | null> {
  let path: string
  try {
    path = decodeURIComponent(pathname)
  } catch {
    return null
  }
  if (!path.startsWith('/') || /[\0\\:]/.test(path)) return null
  const type = MIME_TYPES[path === '/' ? '.html' : extname(path).toLowerCase()]
  if (type === undefined) return null

  const file = resolve(root, path === '/' ? 'index.html' : `.${path}`)
  if (!file.startsWith(resolve(root) + sep)) return null
  try {
    const [realRoot, realFile] = await Promise.all([realpath(root), realpath(file)])
    if (!realFile.startsWith(realRoot + sep) || !(await stat(realFile)).isFile()) return null
    return { file: realFile, type }
  } catch {
    return null
  }
}
