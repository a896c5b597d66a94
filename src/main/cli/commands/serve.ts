import { homedir } from 'node:os'
import { version } from '../../../../package.json'
import { serveWorkbench } from '../../host/browser'
import { createWorkbench } from '../../ipc/workbench'
import { defaultProjectsFolder, userFolder } from '../../storage/userFolder'
import { Interrupt } from '../interrupt'
import { startEngine } from '../job'
import { EXIT_OK } from '../exitCodes'
import type { CommandContext } from '../program'

/** Serves until it is told to stop; jobs that run then are interrupted, and can be gone on with. */
export async function serve(options: { port?: number }, context: CommandContext): Promise<number> {
  const { io, paths } = context
  const workbench = createWorkbench({
    engine: startEngine(context),
    queries: startEngine(context),
    host: 'browser',
    version,
    resources: paths.resources,
    userFolder: userFolder({ platform: process.platform, env: io.env, home: homedir() }),
    projectsFolder: defaultProjectsFolder(io.env, homedir()),
  })
  try {
    const host = await serveWorkbench({
      port: options.port ?? 0,
      router: workbench.router,
      pushes: workbench.pushes,
      rendererDir: paths.renderer,
    })
    try {
      io.stdout.write(`${host.url}\n`)
      io.stderr.write(
        'Open the address above in a browser on this machine; it holds the key to the page.\n' +
          `From another machine: ssh -L ${host.port}:127.0.0.1:${host.port} <this machine>, then open it there.\n` +
          'Ctrl-C stops.\n',
      )
      await interrupted(() => io.stderr.write('stopping …\n'))
    } finally {
      await host.close()
    }
  } finally {
    await workbench.dispose()
  }
  return EXIT_OK
}

/** Resolves at the first signal to stop; a later one ends the program at once. */
function interrupted(onFirst: () => void): Promise<void> {
  const host = {
    on: process.on.bind(process),
    off: process.off.bind(process),
    exit: process.exit.bind(process),
  }
  return new Promise((resolve) => {
    new Interrupt(host, onFirst).signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
