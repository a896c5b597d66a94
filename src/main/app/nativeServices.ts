import { dialog, shell, type BrowserWindow, type OpenDialogOptions } from 'electron'
import type { ChoosePurpose } from '@shared/contract'
import { AppError } from '@shared/errors'
import { TEXT_EXTENSIONS } from '@shared/textFiles'
import type { NativeServices } from '../ipc/handlers/places'

const TITLES: Readonly<Record<ChoosePurpose, string>> = {
  model: 'Open a model folder',
  project: 'Open a project folder',
  output: 'Choose where to put it',
  folder: 'Choose a folder',
}

/** A dialog knows what follows a name's last dot only: `gz` of `txt.gz`. */
function lastParts(extensions: readonly string[]): string[] {
  return [...new Set(extensions.map((extension) => extension.split('.').at(-1) ?? extension))]
}

/** What the desktop can do that a browser cannot: dialogs, the file manager, the trash. */
export function nativeServices(window: () => BrowserWindow | null): Required<NativeServices> {
  const choose = async (options: OpenDialogOptions): Promise<string | null> => {
    const parent = window()
    const { filePaths } = await (parent
      ? dialog.showOpenDialog(parent, options)
      : dialog.showOpenDialog(options))
    return filePaths[0] ?? null
  }
  return {
    chooseFolder: (purpose) =>
      choose({ title: TITLES[purpose], properties: ['openDirectory', 'createDirectory'] }),
    chooseTextFile: (purpose) =>
      choose({
        title: 'Choose a text',
        properties: ['openFile'],
        filters: [
          { name: 'Text', extensions: lastParts(TEXT_EXTENSIONS[purpose]) },
          { name: 'All files', extensions: ['*'] },
        ],
      }),
    reveal: (path) => shell.showItemInFolder(path),
    trash: async (path) => {
      try {
        await shell.trashItem(path)
      } catch (cause) {
        throw new AppError('write_failed', `${path} could not be moved to the trash.`, {
          hint: 'Some disks have none. Remove the folder in the file manager.',
          context: { file: path },
          cause,
        })
      }
    },
  }
}
