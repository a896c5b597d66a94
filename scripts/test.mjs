/** @file `npm test`: sets up, then runs the tests; arguments go to Vitest. The last line counts them. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ensureReady, exitCode, root } from './lib/setup.mjs'

await ensureReady()
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const child = spawn(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, ...vulkanLoader() },
})
// The terminal sends its interrupt to both; Vitest ends by itself and we report how.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
process.exitCode = await exitCode(child)

/** Lets the WebGPU tests find the Vulkan loader that ships beside Chromium's driver where the system has none. */
function vulkanLoader() {
  const folders = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/usr/lib64/chromium-browser']
  if (process.env.LESA_CHROMIUM) folders.unshift(dirname(process.env.LESA_CHROMIUM))
  const system = [
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
    '/usr/lib64',
    '/usr/lib',
  ]
  const has = (folder) => existsSync(join(folder, 'libvulkan.so.1'))
  const folder = folders.find(has)
  if (process.platform !== 'linux' || system.some(has) || !folder) return {}
  return { LD_LIBRARY_PATH: [process.env.LD_LIBRARY_PATH, folder].filter(Boolean).join(':') }
}
