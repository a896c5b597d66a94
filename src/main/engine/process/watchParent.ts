/**
 * @file Ends this process when the one that started it has gone. The engine's own thread learns of it only between two
 * computations, which may take minutes each; this one looks all the time.
 */
import { Worker } from 'node:worker_threads'

const LOOK_MS = 500

/** For jobs to remove what they wrote, where the engine's thread is free to. Longer than that nothing goes on. */
const GRACE_MS = 4_000

/** Plain JavaScript: a worker from a text needs no file of its own beside the program. */
export const WATCH = `
  const { workerData } = require('node:worker_threads')
  const { parent, lookMs, graceMs } = workerData
  const isThere = () => {
    // Elsewhere than on Windows an orphan gets another parent.
    if (process.ppid !== parent) return false
    try {
      process.kill(parent, 0)
    } catch (error) {
      return error.code !== 'ESRCH'
    }
    return true
  }
  const look = setInterval(() => {
    if (isThere()) return
    clearInterval(look)
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs)
  }, lookMs)
`

export function watchParent(): void {
  const workerData = { parent: process.ppid, lookMs: LOOK_MS, graceMs: GRACE_MS }
  const worker = new Worker(WATCH, {
    eval: true,
    workerData,
    // It holds a few numbers.
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
  })
  // Without it the engine lives as long as its computation; it computes all the same.
  worker.on('error', () => undefined)
  worker.unref()
}
