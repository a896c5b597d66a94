import { describe, expect, test } from 'vitest'
import { engineEnvironment } from '../../../../src/main/jobs/EngineProcess'

describe("the engine's environment", () => {
  test('asks the allocator to give large arrays back, and leaves it to whoever sets it', () => {
    expect(engineEnvironment({ PATH: '/bin' })).toMatchObject({
      PATH: '/bin',
      GLIBC_TUNABLES: expect.stringContaining('mmap_threshold=') as string,
    })
    expect(engineEnvironment({ GLIBC_TUNABLES: '' })).toEqual({ GLIBC_TUNABLES: '' })
  })

  test('is without what concerns only this process', () => {
    const own = engineEnvironment({ NODE_OPTIONS: '--inspect', ELECTRON_RUN_AS_NODE: '1' })
    expect(Object.keys(own)).toEqual(['GLIBC_TUNABLES'])
  })
})
