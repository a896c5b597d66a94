/** @file Entry of the engine's process, under Electron's `utilityProcess` and Node's `child_process.fork` alike. */
import { NOT_LOADED } from '@shared/engineProtocol'
import { systemProblem } from '@shared/errors'
import { watchParent } from './watchParent'

watchParent()
try {
  await import('./serve')
} catch (error) {
  // Loading the program's files is the first that a low limit stops: one sentence, for the parent to pass on.
  const problem = systemProblem(error)
  if (!problem) throw error
  process.stderr.write(`${problem.message} ${problem.hint ?? ''}\n`, () => process.exit(NOT_LOADED))
}
