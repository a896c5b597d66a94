import { execFileSync } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { boundedRead } from '@system/boundedRead'
import { tempFolder } from '../../support/tempFolder'

const refused = (code: string, file: string): unknown =>
  expect.objectContaining({ code, context: expect.objectContaining({ file }) as unknown })

describe('boundedRead', () => {
  test('reads up to its limit and no further', async () => {
    const file = join(await tempFolder(), 'file')
    const bytes = Buffer.alloc(3_000_000, 'abc')
    await writeFile(file, bytes)
    expect(bytes.equals(await boundedRead(file, bytes.length, 'bad_request'))).toBe(true)
    await expect(boundedRead(file, bytes.length - 1, 'bad_request')).rejects.toThrow(
      refused('bad_request', file),
    )
  })

  test('refuses a folder, and says what is not there', async () => {
    const folder = await tempFolder()
    await expect(boundedRead(folder, 1, 'bad_tokenizer')).rejects.toThrow(
      refused('bad_tokenizer', folder),
    )
    const none = join(folder, 'none')
    await expect(boundedRead(none, 1, 'bad_tokenizer')).rejects.toThrow(refused('not_found', none))
  })

  test.skipIf(process.platform === 'win32')('refuses what has no end', async () => {
    const folder = await tempFolder()
    const [pipe, zero] = [join(folder, 'pipe'), join(folder, 'zero')]
    execFileSync('mkfifo', [pipe])
    await symlink('/dev/zero', zero)
    for (const file of [pipe, zero]) {
      await expect(boundedRead(file, 1e9, 'bad_request')).rejects.toThrow(
        refused('bad_request', file),
      )
    }
  })

  test.skipIf(process.platform !== 'linux')('holds a file that claims no size to it', async () => {
    const file = '/proc/self/status'
    await expect(boundedRead(file, 10, 'bad_request')).rejects.toThrow(refused('bad_request', file))
    expect((await boundedRead(file, 1e6, 'bad_request')).length).toBeGreaterThan(100)
  })
})
