/** What the menu, the keyboard and the help have in common: one row per command. */
export interface Command {
  readonly id: CommandId
  readonly label: string
  /** In Electron's notation: `CmdOrCtrl+O`. */
  readonly accelerator: string
  readonly menu: 'file' | 'edit' | 'job' | 'go' | 'help'
}

export const COMMAND_IDS = [
  'project:new',
  'project:open',
  'model:open',
  'app:settings',
  'edit:undo',
  'edit:redo',
  'job:run',
  'job:cancel',
  'go:start',
  'go:model',
  'go:plan',
  'go:parameters',
  'go:run',
  'go:layers',
  'go:train',
  'go:compare',
  'go:export',
  'help:keys',
] as const

export type CommandId = (typeof COMMAND_IDS)[number]

export const COMMANDS: readonly Command[] = [
  { id: 'project:new', label: 'New Project…', accelerator: 'CmdOrCtrl+N', menu: 'file' },
  { id: 'project:open', label: 'Open Project…', accelerator: 'CmdOrCtrl+Shift+O', menu: 'file' },
  { id: 'model:open', label: 'Open Model…', accelerator: 'CmdOrCtrl+O', menu: 'file' },
  { id: 'app:settings', label: 'Settings…', accelerator: 'CmdOrCtrl+,', menu: 'file' },
  { id: 'edit:undo', label: 'Undo', accelerator: 'CmdOrCtrl+Z', menu: 'edit' },
  { id: 'edit:redo', label: 'Redo', accelerator: 'CmdOrCtrl+Shift+Z', menu: 'edit' },
  { id: 'job:run', label: 'Run the Plan', accelerator: 'CmdOrCtrl+Enter', menu: 'job' },
  { id: 'job:cancel', label: 'Cancel Job', accelerator: 'CmdOrCtrl+.', menu: 'job' },
  { id: 'go:start', label: 'Start', accelerator: 'CmdOrCtrl+Shift+H', menu: 'go' },
  { id: 'go:model', label: 'Model', accelerator: 'CmdOrCtrl+1', menu: 'go' },
  { id: 'go:plan', label: 'Plan', accelerator: 'CmdOrCtrl+2', menu: 'go' },
  { id: 'go:parameters', label: 'Parameters', accelerator: 'CmdOrCtrl+3', menu: 'go' },
  { id: 'go:run', label: 'Runs', accelerator: 'CmdOrCtrl+4', menu: 'go' },
  { id: 'go:layers', label: 'Layers', accelerator: 'CmdOrCtrl+5', menu: 'go' },
  { id: 'go:train', label: 'Train', accelerator: 'CmdOrCtrl+6', menu: 'go' },
  { id: 'go:compare', label: 'Compare', accelerator: 'CmdOrCtrl+7', menu: 'go' },
  { id: 'go:export', label: 'Export', accelerator: 'CmdOrCtrl+8', menu: 'go' },
  { id: 'help:keys', label: 'Keyboard Shortcuts', accelerator: 'CmdOrCtrl+/', menu: 'help' },
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
