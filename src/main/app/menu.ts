import type { MenuItemConstructorOptions } from 'electron'
import { COMMANDS, type Command, type CommandId } from '@shared/commands'

/** The application's menu, made from the table of commands that the keyboard in a browser uses too. */
export function menuTemplate(
  run: (command: CommandId) => void,
  options: { readonly isMac: boolean; readonly isDevelopment: boolean },
): MenuItemConstructorOptions[] {
  const commands = (menu: Command['menu']): MenuItemConstructorOptions[] =>
    COMMANDS.filter((command) => command.menu === menu).map(({ id, label, accelerator }) => ({
      id,
      label,
      accelerator,
      click: () => run(id),
    }))
  return [
    ...(options.isMac ? [{ role: 'appMenu' as const }] : []),
    {
      label: '&File',
      submenu: [
        ...commands('file'),
        { type: 'separator' },
        { role: options.isMac ? 'close' : 'quit' },
      ],
    },
    {
      label: '&Edit',
      submenu: [
        ...commands('edit'),
        { type: 'separator' },
        { role: 'cut' },
        { role: 'copy' },
        { role: 'paste' },
        { role: 'selectAll' },
      ],
    },
    { label: '&Go', submenu: commands('go') },
    { label: '&Job', submenu: commands('job') },
    {
      label: '&View',
      submenu: [
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { type: 'separator' },
        { role: 'togglefullscreen' },
        ...(options.isDevelopment
          ? [
              { type: 'separator' as const },
              { role: 'reload' as const },
              { role: 'toggleDevTools' as const },
            ]
          : []),
      ],
    },
    { role: 'windowMenu' },
    { label: '&Help', role: 'help', submenu: commands('help') },
  ]
}
