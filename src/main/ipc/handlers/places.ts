import { stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import type { ChoosePurpose, HostKind } from '@shared/contract'
import { AppError } from '@shared/errors'
import { hubPlaceOf } from '@shared/hub'
import type { TextPurpose } from '@shared/textFiles'
import { modelFolderOf } from '@system/hubCache'
import type { ProjectManager } from '../../projects/ProjectManager'
import type { UserStore } from '../../storage/UserStore'
import type { PathGrants } from '../PathGrants'
import { resolvePath } from '../paths'
import type { Handlers } from '../router'
import { identifyFolder, listFolders } from './folders'

type PlaceHandlers = Pick<
  Handlers,
  Extract<keyof Handlers, `${'folders' | 'files' | 'recents' | 'settings'}:${string}`>
>

/** What only a desktop shell can do. */
export interface NativeServices {
  /** The native folder dialog. */
  readonly chooseFolder?: (purpose: ChoosePurpose) => Promise<string | null>
  /** The native dialog for a text file. */
  readonly chooseTextFile?: (purpose: TextPurpose) => Promise<string | null>
  /** Shows a path in the system's file manager. */
  readonly reveal?: (path: string) => void
  /** Moves a folder to the system's trash. */
  readonly trash?: (path: string) => Promise<void>
}

export interface PlaceServices {
  readonly host: HostKind
  readonly native: NativeServices
  readonly user: UserStore
  readonly grants: PathGrants
  readonly projects: ProjectManager
  readonly onRecents: () => Promise<void>
  readonly onSettings: () => Promise<void>
}

/** Folders, files, and what the program remembers of them and of the person's choices. */
export function placeHandlers(services: PlaceServices): PlaceHandlers {
  const { host, native, user, grants, onRecents, onSettings } = services
  const granted = (path: string | null): string | null => path && grants.grant(path)

  return {
    'folders:list': async (path, options) => {
      // With native dialogs there is no picker, and no reason to look around.
      const folder = path !== null && host === 'electron' ? await grants.require(path) : path
      return listFolders(folder, options)
    },
    'folders:choose': async (purpose = 'folder') =>
      granted((await native.chooseFolder?.(purpose)) ?? null),
    'folders:open': async (given) => {
      // The id of a model in the Hugging Face cache, whose models count as opened.
      const cached = isAbsolute(given) ? null : await modelFolderOf(given)
      if (cached !== null && hubPlaceOf(cached)) return grants.grant(cached)
      if (host === 'electron') return grants.require(given)
      const path = resolvePath(given)
      const found = await stat(path).catch(() => null)
      if (found && !found.isDirectory() && !found.isFile()) {
        throw new AppError('bad_request', `${path} is neither a folder nor a file.`, {
          context: { file: path },
        })
      }
      return grants.grant(path)
    },
    'folders:identify': async (path) => {
      const found = await identifyFolder(await grants.require(path))
      // A file of weights that was opened means the folder around it.
      if (found.kind === 'model') grants.grant(found.path)
      return found
    },
    'files:chooseText': async (purpose = 'measure') =>
      granted((await native.chooseTextFile?.(purpose)) ?? null),
    'files:reveal': async (path) => {
      if (!native.reveal) {
        throw new AppError('bad_request', 'There is no file manager to show it in.')
      }
      native.reveal(await grants.require(path))
      return null
    },

    'recents:list': () => user.recents(),
    'recents:remove': async (path) => {
      const recents = await user.removeRecent(path)
      await onRecents()
      return recents
    },
    'recents:clear': async () => {
      const recents = await user.clearRecents()
      await onRecents()
      return recents
    },

    'settings:get': () => user.settings(),
    'settings:update': async (patch) => {
      const { projectsFolder } = patch
      const settings = await user.updateSettings({
        ...patch,
        ...(typeof projectsFolder === 'string'
          ? { projectsFolder: await grants.require(projectsFolder) }
          : {}),
      })
      await onSettings()
      return settings
    },
  }
}
