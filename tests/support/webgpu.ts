/**
 * @file The WebGPU provider on a machine without a GPU: through SwiftShader, the software Vulkan driver that
 * Debian's `chromium` package ships. It runs the real GPU path, some 200 times slower than the CPU: use tiny sizes.
 *
 * The driver's environment has to be set before the first WebGPU session is created, and a mistake on that path
 * (reading a GPU tensor's data, say) aborts the whole process. Vitest's `forks` pool gives every test file a process
 * of its own, so a file that calls {@link useSoftwareVulkan} at its top has both: the environment in time, and an
 * abort that fails this file only. An engine process that such a test forks inherits the environment.
 *
 * The Vulkan loader itself (`libvulkan.so.1`) has to be where the dynamic linker looks when the process starts:
 * Debian's `libvulkan1` installs it; `npm test` otherwise adds the copy beside the driver to `LD_LIBRARY_PATH`.
 *
 *     const webgpu = useSoftwareVulkan()
 *     describe.skipIf(!webgpu)('… on webgpu', () => { … })
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { has } from './requirements'

const ICD = 'vk_swiftshader_icd.json'

const LOADER = 'libvulkan.so.1'

/** Where the dynamic linker looks by itself on the distributions that matter here. */
const LIBRARY_FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
]

export interface SoftwareVulkanEnv {
  readonly VK_DRIVER_FILES: string
  readonly VK_ICD_FILENAMES: string
  readonly XDG_RUNTIME_DIR: string
}

/**
 * Finds the driver: `LESA_SWIFTSHADER_ICD`, beside the browser that `LESA_CHROMIUM` names, or where the packages of
 * Debian, Fedora, Arch and Playwright put it. Returns the environment that makes the Vulkan loader use it, or `null`.
 */
export function softwareVulkan(): SoftwareVulkanEnv | null {
  if (process.platform !== 'linux') return null
  const named = process.env['LESA_SWIFTSHADER_ICD']
  const chromium = process.env['LESA_CHROMIUM']
  const folders = [
    ...(chromium === undefined ? [] : [dirname(chromium)]),
    '/usr/lib/chromium',
    '/usr/lib/chromium-browser',
    '/usr/lib64/chromium-browser',
    '/opt/google/chrome',
    ...playwrightFolders(),
  ]
  const candidates = [
    ...(named === undefined ? [] : [named]),
    ...folders.map((folder) => join(folder, ICD)),
  ]
  const icd = candidates.find((candidate) => existsSync(candidate))
  if (icd === undefined || !hasLoader()) return null
  const runtime =
    process.env['XDG_RUNTIME_DIR'] ?? join(tmpdir(), `lesa-xdg-${process.getuid?.() ?? 0}`)
  mkdirSync(runtime, { recursive: true, mode: 0o700 })
  return { VK_DRIVER_FILES: icd, VK_ICD_FILENAMES: icd, XDG_RUNTIME_DIR: runtime }
}

/**
 * Makes WebGPU work in this process; call it before anything creates a session.
 *
 * @returns false when the machine has no such driver and `LESA_REQUIRE` does not insist on it.
 */
export function useSoftwareVulkan(): boolean {
  if (!has('webgpu')) return false
  Object.assign(process.env, softwareVulkan())
  return true
}

function hasLoader(): boolean {
  const added = (process.env['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => folder !== '')
  return [...added, ...LIBRARY_FOLDERS].some((folder) => existsSync(join(folder, LOADER)))
}

function playwrightFolders(): string[] {
  const root = process.env['PLAYWRIGHT_BROWSERS_PATH'] ?? join(homedir(), '.cache', 'ms-playwright')
  if (!existsSync(root)) return []
  return readdirSync(root)
    .filter((name) => name.startsWith('chromium-'))
    .flatMap((name) => ['chrome-linux', 'chrome-linux64'].map((leaf) => join(root, name, leaf)))
}
