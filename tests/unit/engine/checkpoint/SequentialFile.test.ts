import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { SequentialFile, WriteBlocks } from '../../../../src/main/engine/checkpoint/SequentialFile'
import { tempFolder } from '../../../support/tempFolder'

type Open = typeof fs.open
type Handle = Awaited<ReturnType<Open>>

/** What the file system does with direct writes in a test; `null`: what the real one does. */
const fault = vi.hoisted(() => ({
  open: null as null | (() => void),
  write: null as null | ((position: number) => void),
}))

vi.mock(import('node:fs/promises'), async (original) => {
  const real = await original()
  const open = async (...args: Parameters<Open>): Promise<Handle> => {
    const isDirect = (Number(args[1]) & (constants.O_DIRECT ?? 0)) !== 0
    const handle = await real.open(...args)
    if (!isDirect) return handle
    try {
      fault.open?.()
    } catch (error) {
      await handle.close()
      throw error
    }
    const write = handle.write.bind(handle) as (...parts: unknown[]) => Promise<unknown>
    handle.write = (async (...parts: unknown[]) => {
      fault.write?.(Number(parts[3]))
      return write(...parts)
    }) as Handle['write']
    return handle
  }
  return { ...real, open: open, default: { ...real, open: open } }
})

const refuse = (code: string) => (): never => {
  throw Object.assign(new Error(code), { code })
}

afterEach(() => {
  fault.open = null
  fault.write = null
})

/** Bytes that tell where they are. */
const pattern = (start: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => ((start + i) * 2654435761) >>> 24)

const fillLater = (start: number) => async (target: Uint8Array) => {
  // Later reads of a block end before earlier ones.
  await new Promise((done) => setTimeout(done, start % 7))
  target.set(pattern(start, target.byteLength))
}

/** Writes `length` bytes, by turns given and read. */
async function write(file: SequentialFile, length: number, piece: number): Promise<void> {
  for (let done = 0, turn = 0; done < length; turn += 1) {
    const wanted = Math.min(piece, length - done)
    if (turn % 2 === 0) {
      const bytes = pattern(done, wanted)
      await file.add(bytes)
      bytes.fill(0)
      done += wanted
    } else {
      const from = done
      await file.addRead(wanted, (target, offset) => fillLater(from + offset)(target))
      done += wanted
    }
  }
}

describe('a file holds what was added in order', () => {
  const sizes = [0, 1, 4096, 2 ** 22, 2 ** 22 + 1, 5 * 2 ** 22 + 4097]
  test.each(sizes)('%i bytes', async (length) => {
    const path = join(await tempFolder(), 'file')
    const file = await SequentialFile.create(path, new WriteBlocks())
    await write(file, length, 700_001)
    await file.finish()
    await file.sync()
    await file.close()
    expect(Buffer.compare(await readFile(path), pattern(0, length))).toBe(0)
  })

  test.each([
    ['refuses direct access', () => (fault.open = refuse('EINVAL'))],
    ['refuses direct writes', () => (fault.write = refuse('EINVAL'))],
    [
      'refuses one of them',
      () =>
        (fault.write = (position) => {
          if (position === 2 ** 22) refuse('EINVAL')()
        }),
    ],
  ])('where the file system %s', async (_, arrange) => {
    arrange()
    const length = 3 * 2 ** 22 + 5
    const path = join(await tempFolder(), 'file')
    const file = await SequentialFile.create(path, new WriteBlocks())
    await write(file, length, 1_000_000)
    await file.finish()
    await file.close()
    expect(Buffer.compare(await readFile(path), pattern(0, length))).toBe(0)
  })

  test('also in a second file that shares the memory', async () => {
    const folder = await tempFolder()
    const blocks = new WriteBlocks()
    for (const [name, length] of [
      ['a', 2 ** 22 + 3],
      ['b', 10],
    ] as const) {
      const file = await SequentialFile.create(join(folder, name), blocks)
      await write(file, length, 2 ** 20)
      await file.finish()
      await file.close()
      expect(Buffer.compare(await readFile(join(folder, name)), pattern(0, length))).toBe(0)
    }
  })
})

describe('a failure is told', () => {
  test('of a read, at the end at the latest', async () => {
    const file = await SequentialFile.create(join(await tempFolder(), 'file'), new WriteBlocks())
    const failure = new Error('cannot be read')
    await file.addRead(10, () => Promise.reject(failure))
    await expect(file.finish()).rejects.toBe(failure)
    await file.close()
  })

  test('of a full disk, while more is added', async () => {
    fault.write = refuse('ENOSPC')
    const path = join(await tempFolder(), 'file')
    const file = await SequentialFile.create(path, new WriteBlocks())
    // Where there are no direct writes, there is nothing to refuse.
    if (constants.O_DIRECT === undefined) return file.close()
    await expect(write(file, 6 * 2 ** 22, 2 ** 22)).rejects.toMatchObject({ code: 'ENOSPC' })
    await file.close()
    expect((await stat(path)).size).toBe(0)
  })

  test('of a file that is there already', async () => {
    const path = join(await tempFolder(), 'file')
    await fs.writeFile(path, 'old')
    await expect(SequentialFile.create(path, new WriteBlocks())).rejects.toMatchObject({
      code: 'EEXIST',
    })
    expect(await readFile(path, 'utf8')).toBe('old')
  })
})
