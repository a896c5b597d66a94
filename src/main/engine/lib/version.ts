import type { EngineVersions } from '@shared/engineProtocol'
import { loadLibrary } from './library'
import { version } from '../../../../package.json'

/** The program's name in what it writes. */
export const PROJECT = 'LESA Workbench'

/** Version of the program, as in exported records. */
export const ENGINE_VERSION: string = version

/** What computes here. */
export async function engineVersions(): Promise<EngineVersions> {
  const { env } = await loadLibrary()
  return {
    engine: ENGINE_VERSION,
    onnxruntime: env.versions.node ?? 'unknown',
    node: process.versions.node,
  }
}
