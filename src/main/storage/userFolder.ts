import { isAbsolute, join, posix, win32 } from 'node:path'

export interface UserFolderOptions {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
}

const NAME = 'lesa-workbench'

/**
 * Where the program keeps what belongs to a person rather than to a project: settings, recents, caches. Both hosts use
 * the same. `LESA_USER_DATA` names another one.
 */
export function userFolder({ platform, env, home }: UserFolderOptions): string {
  const own = ownFolder(env)
  if (own !== null) return own
  switch (platform) {
    case 'win32':
      return win32.join(env['APPDATA'] ?? win32.join(home, 'AppData', 'Roaming'), NAME)
    case 'darwin':
      return posix.join(home, 'Library', 'Application Support', NAME)
    default: {
      const config = env['XDG_CONFIG_HOME']
      return posix.join(config?.startsWith('/') ? config : posix.join(home, '.config'), NAME)
    }
  }
}

/**
 * Where projects are made unless the settings name another place: among the person's documents, or with everything else
 * in the folder that `LESA_USER_DATA` names, so that a workbench that was sent elsewhere leaves nothing at home.
 */
export function defaultProjectsFolder(env: UserFolderOptions['env'], documents: string): string {
  const own = ownFolder(env)
  return own === null ? join(documents, 'LESA Workbench') : join(own, 'projects')
}

function ownFolder(env: UserFolderOptions['env']): string | null {
  const own = env['LESA_USER_DATA']
  return own !== undefined && isAbsolute(own) ? own : null
}
