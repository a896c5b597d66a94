/** @file How much memory a process and all its descendants hold. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

const LINUX_INTERVAL_MS = 100
/** Starting `ps` costs more than reading files does. */
const PS_INTERVAL_MS = 500

interface ProcessMemory {
  readonly residentBytes: number
  /** The kernel's own record of the process's peak. */
  readonly peakBytes: number
}

/**
 * Watches the resident memory of a process tree from outside. The peak is the largest sum over the tree that was seen,
 * and no less than any one process's own peak. Pages that processes share count once for each.
 */
export class TreeMemory {
  #peak: number | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(
    private readonly root: number,
    intervalMs?: number,
  ) {
    if (process.platform === 'linux') {
      this.#timer = setInterval(() => this.#note(linuxTree(root)), intervalMs ?? LINUX_INTERVAL_MS)
    } else if (process.platform !== 'win32') {
      this.#timer = setInterval(() => this.#askPs(), PS_INTERVAL_MS)
    }
  }

  /** Ends the watch. `null` where the system has no cheap way to tell, or the tree ended before it was looked at. */
  stop(): number | null {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    return this.#peak
  }

  #note(tree: readonly ProcessMemory[]): void {
    if (tree.length === 0) return
    const sum = tree.reduce((total, { residentBytes }) => total + residentBytes, 0)
    this.#peak = Math.max(this.#peak ?? 0, sum, ...tree.map(({ peakBytes }) => peakBytes))
  }

  #askPs(): void {
    execFile('ps', ['-axo', 'pid=,ppid=,rss='], (error, stdout) => {
      if (!error && this.#timer) this.#note(psTree(stdout, this.root))
    })
  }
}

/** The tree's memory from /proc; processes that end meanwhile are left out. */
export function linuxTree(root: number): ProcessMemory[] {
  const found: ProcessMemory[] = []
  const open = [root]
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    try {
      found.push(parseStatus(readFileSync(`/proc/${pid}/status`, 'utf8')))
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        open.push(...children.split(' ').filter(Boolean).map(Number))
      }
    } catch {
      // It ended.
    }
  }
  return found
}

/** Reads the memory lines of /proc/PID/status; a zombie has none. */
export function parseStatus(status: string): ProcessMemory {
  const kilobytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0)
  return { residentBytes: kilobytes('VmRSS') * 1024, peakBytes: kilobytes('VmHWM') * 1024 }
}

/** The tree below `root` in the output of `ps -axo pid=,ppid=,rss=` (kibibytes). */
export function psTree(output: string, root: number): ProcessMemory[] {
  const rows = output
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter((row) => row.length === 3)
  const tree = new Set([root])
  // Parents may be listed after their children.
  for (let size = 0; size !== tree.size;) {
    size = tree.size
    for (const [pid = 0, parent = 0] of rows) if (tree.has(parent)) tree.add(pid)
  }
  return rows
    .filter(([pid = 0]) => tree.has(pid))
    .map(([, , kibibytes = 0]) => {
      const bytes = kibibytes * 1024
      return { residentBytes: bytes, peakBytes: bytes }
    })
}
