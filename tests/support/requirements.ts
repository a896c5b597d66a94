import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { findElectron } from './electron'
import { softwareVulkan } from './webgpu'

/** What some tests need from the machine beside the project's own packages. */
export type Requirement = 'chromium' | 'electron' | 'webgpu'

const REQUIREMENTS: Readonly<
  Record<Requirement, { readonly isHere: () => boolean; readonly help: string }>
> = {
  chromium: { isHere: () => findChromium() !== null, help: 'set LESA_CHROMIUM to its executable' },
  electron: {
    isHere: () => findElectron() !== null,
    help: 'node node_modules/electron/install.js fetches it; on Linux it needs a display',
  },
  webgpu: {
    isHere: () => softwareVulkan() !== null,
    help: 'vk_swiftshader_icd.json and libvulkan.so.1; Debian: chromium, libvulkan1',
  },
}

/**
 * Whether the machine has what a test needs, for `describe.skipIf(!has('webgpu'))`.
 *
 * A machine without it skips those tests. Where `LESA_REQUIRE` names it (a comma-separated list, as the
 * project's CI sets), its absence is an error instead, so that nothing is skipped unnoticed.
 *
 * @throws Error when it is missing and `LESA_REQUIRE` names it.
 */
export function has(requirement: Requirement): boolean {
  const { isHere, help } = REQUIREMENTS[requirement]
  const found = isHere()
  if (!found && isRequired(requirement)) {
    throw new Error(`LESA_REQUIRE names ${requirement}, but this machine has none (${help}).`)
  }
  return found
}

/** The browser that tests drive: `LESA_CHROMIUM`, or one on the path; `null` when there is none. */
export function findChromium(): string | null {
  const named = process.env['LESA_CHROMIUM']
  if (named !== undefined && named !== '') return existsSync(named) ? named : null
  const suffix = process.platform === 'win32' ? '.exe' : ''
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'chrome', 'msedge']
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  const candidates = folders.flatMap((folder) => names.map((name) => join(folder, name + suffix)))
  return candidates.find((candidate) => existsSync(candidate)) ?? null
}

/** Whether `LESA_REQUIRE` names something. */
export function isRequired(requirement: string): boolean {
  return (process.env['LESA_REQUIRE'] ?? '').split(',').some((name) => name.trim() === requirement)
}
