/**
 * @file A process that starts the engine it is given and a job in it, prints `running` when the job is under way, and
 * then waits to be killed: `node engineParent.mjs ENGINE SPEC_JSON`. The engine shares its standard output, which
 * therefore stays open until both have ended.
 */
import { fork } from 'node:child_process'

const [engine, spec] = process.argv.slice(2)
const child = fork(engine, [], {
  serialization: 'advanced',
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
})
child.on('message', (message) => {
  if (message.type === 'ready')
    child.send({ type: 'job:start', jobId: 'a', spec: JSON.parse(spec) })
  if (message.type === 'job:event' && message.event.type === 'metric') {
    process.stdout.write('running\n')
  }
})
