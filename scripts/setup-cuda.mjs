/**
 * @file `npm run setup:cuda`: fetches ONNX Runtime's CUDA provider, which is too large for the npm registry, with
 * onnxruntime-node's own install script. Nothing else of the project needs it.
 */
import { spawn } from 'node:child_process'
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
const code = await exitCode(
  spawn(process.execPath, [join(root, 'node_modules/onnxruntime-node/script/install.js')], {
    cwd: join(root, 'node_modules/onnxruntime-node'),
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'cuda12' },
  }),
)
if (code !== 0) {
  fail(
    'The CUDA provider could not be fetched; the messages are above. The machine has to reach the download host. ' +
      'Everything else works without it: --device auto takes WebGPU or the CPU.',
  )
}
process.stderr.write('Done. `npm run lesa -- devices` tells whether it runs on this machine.\n')
