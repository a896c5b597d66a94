import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/**
 * Electron's program, where its package has fetched one (requiring the package would fetch it), and a screen to show it
 * on; `null` where either is missing.
 */
export function findElectron(): string | null {
  if (!hasScreen()) return null
  const folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'))
  const note = join(folder, 'path.txt')
  if (!existsSync(note)) return null
  const path = join(folder, 'dist', readFileSync(note, 'utf8').trim())
  return existsSync(path) ? path : null
}

function hasScreen(): boolean {
  return (
    process.platform !== 'linux' ||
    ['DISPLAY', 'WAYLAND_DISPLAY'].some((name) => (process.env[name] ?? '') !== '')
  )
}

/** Switches for a program under test: Chromium's sandbox does not run as root, and no keyring is to be asked. */
export function electronSwitches(): string[] {
  return [
    ...(process.platform === 'linux' && process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    '--password-store=basic',
    '--use-mock-keychain',
  ]
}
