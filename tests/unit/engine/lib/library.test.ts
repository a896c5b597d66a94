import { afterEach, describe, expect, it, vi } from 'vitest'
import { explain, loadLibrary } from '../../../../src/main/engine/lib/library'

const missing = Object.assign(
  new Error("Cannot find module '../bin/binding.node'\nRequire stack:"),
  {
    code: 'MODULE_NOT_FOUND',
  },
)
const broken = Object.assign(new Error('libm.so.6: version `GLIBC_2.28’ not found'), {
  code: 'ERR_DLOPEN_FAILED',
})

function explained(system: string, glibc: string | null, cause = missing) {
  const [platform = '', arch = ''] = system.split('/')
  return explain(cause, { platform, arch, glibc: () => glibc }).toData()
}

describe('a system without ONNX Runtime', () => {
  const real = { platform: process.platform, arch: process.arch }

  const pretend = ({ platform, arch }: typeof real): void => {
    Object.defineProperty(process, 'platform', { value: platform })
    Object.defineProperty(process, 'arch', { value: arch })
  }

  afterEach(() => {
    pretend(real)
    vi.resetModules()
  })

  it('is told by the loader itself', async () => {
    pretend({ platform: 'darwin', arch: 'x64' })
    const error: unknown = await loadLibrary().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      name: 'AppError',
      code: 'device_unavailable',
      message: 'Nothing can be computed here: ONNX Runtime has no library for Intel Macs.',
      hint: expect.stringContaining('Apple silicon') as unknown,
      context: {
        actual: expect.stringMatching(/Intel Macs \(darwin\/x64: .*darwin\/x64\//) as unknown,
      },
    })
  })

  it('is told from one where it is not installed, or does not work', () => {
    expect(explained('linux/riscv64', '2.41').message).toContain('no library for linux/riscv64')
    expect(explained('linux/x64', null, broken).message).toContain('musl')
    expect(explained('linux/x64', '2.41').hint).toContain('npm ci')
    expect(explained('linux/arm64', '2.17', broken)).toMatchObject({
      hint: expect.stringContaining('glibc 2.28') as unknown,
      context: {
        actual: expect.stringContaining('(linux/arm64: libm.so.6: version `GLIBC_2.28') as unknown,
      },
    })
    expect(explained('win32/arm64', null, broken).hint).toContain('Visual C++')
  })
})
