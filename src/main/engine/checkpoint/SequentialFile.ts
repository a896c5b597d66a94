import { constants, writeSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemCode } from '@system/errors'

const { O_WRONLY, O_CREAT, O_EXCL } = constants

/** Linux only; elsewhere (and where a file system refuses it) writes go through the system's cache. */
const O_DIRECT = (constants as { readonly O_DIRECT?: number }).O_DIRECT ?? 0

/** Bytes per direct write, and how many are under way at once: reading and writing overlap. */
const BLOCK_BYTES = 2 ** 22
const BLOCKS = 4

/** What direct writes have to be aligned to, in memory and in the file, on any common disk. */
const ALIGNMENT = 4096

/**
 * Bytes per write through the cache. With larger ones Linux takes its cache from large pages, which cost several times
 * as much on a virtual machine that has to fetch them from its host.
 */
const CACHED_BYTES = 2 ** 16

/** TypeScript has it only among the types of browsers. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

interface Block {
  readonly bytes: Uint8Array
  /** Until what it held last is written. */
  idle: Promise<void>
}

/** Memory that writes are made from; files that are written one after the other share it. */
export class WriteBlocks {
  private readonly blocks: readonly Block[]
  private taken = 0

  constructor() {
    // No other memory of JavaScript is promised to begin at the start of a page.
    const memory = new WebAssembly.Memory({ initial: (BLOCKS * BLOCK_BYTES) / 2 ** 16 })
    this.blocks = Array.from({ length: BLOCKS }, (_, index) => ({
      bytes: new Uint8Array(memory.buffer, index * BLOCK_BYTES, BLOCK_BYTES),
      idle: Promise.resolve(),
    }))
  }

  /** The block that was taken longest ago, once it is written. @throws what its writing threw. */
  async take(): Promise<Block> {
    const block = this.blocks[this.taken % BLOCKS]!
    this.taken += 1
    await block.idle
    return block
  }
}

/**
 * A new file, written from its start to its end. On Linux its bytes go straight to the disk: a checkpoint would only
 * push the model that it is made from out of the system's cache, and wait for its own pages to be written back.
 */
export class SequentialFile {
  /** For writes past the cache, while the file system takes them. */
  private direct: FileHandle | null
  private cached: Promise<FileHandle> | null = null
  private block: Block | null = null
  /** Bytes in the block. */
  private used = 0
  /** Of the block in the file. */
  private position = 0
  /** Reads into the block that are under way. */
  private reads: Promise<void>[] = []
  private readonly writes: Promise<void>[] = []

  private constructor(
    private readonly path: string,
    private readonly blocks: WriteBlocks,
    private readonly handle: FileHandle,
    isDirect: boolean,
  ) {
    this.direct = isDirect ? handle : null
    if (!isDirect) this.cached = Promise.resolve(handle)
  }

  /** Creates the file, which must not exist. */
  static async create(path: string, blocks: WriteBlocks): Promise<SequentialFile> {
    const flags = O_WRONLY | O_CREAT | O_EXCL
    if (O_DIRECT !== 0) {
      try {
        return new SequentialFile(path, blocks, await open(path, flags | O_DIRECT), true)
      } catch (error) {
        if (systemCode(error) !== 'EINVAL') throw error
      }
    }
    // A refused O_DIRECT may have left the file, empty.
    const handle = await open(path, O_DIRECT === 0 ? flags : O_WRONLY | O_CREAT)
    return new SequentialFile(path, blocks, handle, false)
  }

  /** Appends bytes, which may be reused at once. */
  async add(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.byteLength;) {
      const space = await this.space(bytes.byteLength - done)
      space.set(bytes.subarray(done, done + space.byteLength))
      done += space.byteLength
    }
  }

  /**
   * Appends `byteLength` bytes part by part; `read` puts those from `offset` on in place while others are written, and
   * its failure shows at a later call.
   *
   * @param onAdded Told the size of each part; may throw to stop.
   */
  async addRead(
    byteLength: number,
    read: (target: Uint8Array, offset: number) => Promise<void>,
    onAdded?: (bytes: number) => void,
  ): Promise<void> {
    for (let done = 0; done < byteLength;) {
      const space = await this.space(byteLength - done)
      const reading = read(space, done)
      // Whoever writes the block awaits it too.
      reading.catch(() => undefined)
      this.reads.push(reading)
      done += space.byteLength
      onAdded?.(space.byteLength)
    }
  }

  /** Writes the rest. The file is complete then, though not yet {@link sync}ed. */
  async finish(): Promise<void> {
    const end = this.position + this.used
    this.send()
    await Promise.all(this.writes)
    // The last direct write was rounded up.
    await this.handle.truncate(end)
  }

  async sync(): Promise<void> {
    await this.handle.sync()
  }

  /** Closes the file, complete or not, once nothing is being written to it. */
  async close(): Promise<void> {
    await Promise.allSettled(this.writes)
    await this.handle.close()
    const cached = await this.cached?.catch(() => null)
    if (cached && cached !== this.handle) await cached.close()
  }

  private async space(wanted: number): Promise<Uint8Array> {
    if (this.used === BLOCK_BYTES) this.send()
    this.block ??= await this.blocks.take()
    const start = this.used
    this.used = Math.min(BLOCK_BYTES, start + wanted)
    return this.block.bytes.subarray(start, this.used)
  }

  /** Has the block written. */
  private send(): void {
    const { block, used, reads, position } = this
    if (!block) return
    block.idle = this.write(block.bytes, used, position, reads)
    // Whoever takes the block next, or waits for the end, is told.
    block.idle.catch(() => undefined)
    this.writes.push(block.idle)
    this.block = null
    this.position += used
    this.used = 0
    this.reads = []
  }

  private async write(
    bytes: Uint8Array,
    used: number,
    position: number,
    reads: readonly Promise<void>[],
  ): Promise<void> {
    await Promise.all(reads)
    const rounded = Math.ceil(used / ALIGNMENT) * ALIGNMENT
    let done = 0
    while (this.direct && done < used) {
      try {
        const { bytesWritten } = await this.direct.write(
          bytes,
          done,
          rounded - done,
          position + done,
        )
        done += bytesWritten
      } catch (error) {
        if (systemCode(error) !== 'EINVAL') throw error
        // The file system wants another alignment, or no direct writes at all.
        this.direct = null
      }
    }
    if (done >= used) return
    this.cached ??= open(this.path, O_WRONLY)
    const { fd } = await this.cached
    // Lets messages in.
    await nextTurn()
    while (done < used) {
      const length = Math.min(CACHED_BYTES, used - done)
      done += writeSync(fd, bytes, done, length, position + done)
    }
  }
}
