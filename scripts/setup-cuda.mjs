/**
 * @file `npm run setup:cuda`: fetches ONNX Runtime's CUDA provider, which is too large for the npm registry, with
 * onnxruntime-node's own install script. Nothing else of the project needs it.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensureReady, exitCode, fail, root } from './lib/setup.mjs'

const platform = `${process.platform}/${process.arch}`
if (platform !== 'linux/x64') {
  const instead =
    process.platform === 'win32'
      ? 'On Windows the bundled DirectML (--device dml) and WebGPU providers use the GPU.'
      : process.platform === 'darwin'
        ? 'On macOS the bundled CoreML and WebGPU providers use the GPU.'
        : 'The bundled WebGPU provider (--device webgpu) uses the GPU where Vulkan works.'
  fail(`ONNX Runtime ships a CUDA provider for Linux on x64 only; this is ${platform}. ${instead}`)
}
await ensureReady()
process.stderr.write(
  'Fetching the CUDA 12 provider of ONNX Runtime (several hundred MB, from outside the npm registry) …\n' +
    'To use it the machine also needs an NVIDIA driver, CUDA 12 and cuDNN 9.\n',
)
const folder = join(root, 'node_modules/onnxruntime-node')
const code = await exitCode(
  spawn(process.execPath, [join(folder, 'script/install.js')], {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    // Any value but `true` lets the script decide by npm's variables that there is nothing to do.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'true' },
  }),
)
const provider = join(folder, 'bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so')
if (code !== 0 || !existsSync(provider)) {
  fail(
    'The CUDA provider could not be fetched; the messages are above. The machine has to reach the download host. ' +
      'Everything else works without it: --device auto takes WebGPU or the CPU.',
  )
}
process.stderr.write('Done. `npm run lesa -- devices` tells whether it runs on this machine.\n')
