/** @file What the engine's process does once its code is loaded. */
import { engineCalls } from './calls'
import { connectToParent } from './port'
import { runJob } from './runJob'
import { EngineWorker } from './worker'

const port = connectToParent()
if (!port) {
  process.stderr.write('This is the engine of LESA Workbench; it is started by the program.\n')
  process.exit(2)
}

const worker = new EngineWorker(port, { runJob, engineCalls }, (code) => process.exit(code))

process.on('uncaughtException', (error) => void worker.fail(error))
process.on('unhandledRejection', (reason) => void worker.fail(reason))
// Ctrl-C in a terminal reaches this process too, but the parent decides: it cancels, and the job cleans up.
process.on('SIGINT', () => {})

worker.start()
