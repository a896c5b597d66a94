/** What the menu, the keyboard and the help have in common: one row per command. */
export interface Command {
  readonly id: CommandId
  readonly label: string
  /** In Electron's notation: `CmdOrCtrl+O`. */
  readonly accelerator: string
  readonly menu: 'file' | 'job'
}

export const COMMAND_IDS = ['model:open', 'job:run', 'job:cancel'] as const

export type CommandId = (typeof COMMAND_IDS)[number]

export const COMMANDS: readonly Command[] = [
  { id: 'model:open', label: 'Open Model…', accelerator: 'CmdOrCtrl+O', menu: 'file' },
  { id: 'job:run', label: 'Run', accelerator: 'CmdOrCtrl+Enter', menu: 'job' },
  { id: 'job:cancel', label: 'Cancel Job', accelerator: 'CmdOrCtrl+.', menu: 'job' },
]

/** A key press, as the browser tells it. */
interface KeyPress {
  readonly key: string
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly shiftKey: boolean
  readonly altKey: boolean
}

/** The command that a key press asks for; `null` for none. */
export function commandOfKey(press: KeyPress, isMac: boolean): CommandId | null {
  const main = isMac ? press.metaKey && !press.ctrlKey : press.ctrlKey && !press.metaKey
  if (!main || press.altKey) return null
  const keys = `CmdOrCtrl+${press.shiftKey ? 'Shift+' : ''}${press.key}`.toLowerCase()
  return COMMANDS.find(({ accelerator }) => accelerator.toLowerCase() === keys)?.id ?? null
}

/** `CmdOrCtrl+O` → `Ctrl+O`, or `⌘O` on a Mac. */
export function formatAccelerator(accelerator: string, isMac: boolean): string {
  const keys = accelerator.split('+').map((key) => {
    if (key === 'CmdOrCtrl') return isMac ? '⌘' : 'Ctrl'
    if (key === 'Shift') return isMac ? '⇧' : 'Shift'
    return key === 'Enter' ? '↵' : key
  })
  return keys.join(isMac ? '' : '+')
}
