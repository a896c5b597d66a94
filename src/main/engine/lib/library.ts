/** @file Loads ONNX Runtime's native library, and says plainly where there is none. */
import { AppError } from '@shared/errors'
import type * as Ort from 'onnxruntime-node'

/** What of a system decides whether a native library runs on it. */
interface System {
  readonly platform: string
  readonly arch: string
  /** Version of glibc; `null` where the C library is another. */
  readonly glibc: () => string | null
}

/** The systems that onnxruntime-node 1.30 has a library for. */
const BUILT_FOR: readonly string[] = [
  'linux/x64',
  'linux/arm64',
  'win32/x64',
  'win32/arm64',
  'darwin/arm64',
]

/**
 * Imported when it is needed, so that a broken native library is an error of the job and not of the program's start.
 *
 * @throws AppError `device_unavailable` when there is none for this system, or it cannot be loaded.
 */
export async function loadLibrary(): Promise<typeof Ort> {
  try {
    return await import('onnxruntime-node')
  } catch (cause) {
    throw explain(cause, { platform: process.platform, arch: process.arch, glibc: glibcVersion })
  }
}

/** Why the library could not be loaded, and what helps. */
export function explain(cause: unknown, { platform, arch, glibc }: System): AppError {
  const system = `${platform}/${arch}`
  const actual = cause instanceof Error ? (cause.message.split('\n', 1)[0] ?? '') : String(cause)
  const unavailable = (why: string, hint: string): AppError =>
    new AppError('device_unavailable', `Nothing can be computed here: ${why}.`, {
      hint,
      context: { expected: BUILT_FOR.join(', '), actual: `${why} (${system}: ${actual})` },
      cause,
    })
  if (system === 'darwin/x64') {
    return unavailable(
      'ONNX Runtime has no library for Intel Macs',
      'Use a Mac with Apple silicon, or run `lesa serve` on a Linux or Windows machine and open it from here.',
    )
  }
  if (!BUILT_FOR.includes(system)) {
    return unavailable(
      `ONNX Runtime has no library for ${system}`,
      `Use one of the systems that it is built for: ${BUILT_FOR.join(', ')}.`,
    )
  }
  if (platform === 'linux' && glibc() === null) {
    return unavailable(
      'ONNX Runtime needs glibc, and this system has another C library (such as musl in Alpine Linux)',
      'Use a distribution with glibc, such as Debian, Ubuntu or Fedora, also in a container.',
    )
  }
  const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'MODULE_NOT_FOUND'
  return isMissing
    ? unavailable(
        'ONNX Runtime’s library is missing',
        'Install the packages again (npm ci), on the system that the program runs on.',
      )
    : unavailable(
        'ONNX Runtime’s library could not be loaded',
        platform === 'win32'
          ? 'It needs Microsoft’s Visual C++ Redistributable; the details name what is missing.'
          : 'It needs glibc 2.28 and libstdc++ (of GCC 6) or newer; the details name what is missing.',
      )
}

function glibcVersion(): string | null {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return report.header?.glibcVersionRuntime ?? null
}
