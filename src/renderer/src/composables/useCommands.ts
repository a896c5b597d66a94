import { commandOfKey, type CommandId } from '@shared/commands'
import { onBeforeUnmount, onMounted } from 'vue'
import { useClient } from '../api/client'

export const isMac = navigator.platform.startsWith('Mac')

type Handler = () => void

/** The newest handler of a command has it: a view's over the shell's. */
const handlersOf = new Map<CommandId, Handler[]>()

function runCommand(id: CommandId): void {
  handlersOf.get(id)?.at(-1)?.()
}

/** Runs commands while the component is there. A command without a handler does nothing. */
export function useCommands(handlers: Readonly<Partial<Record<CommandId, Handler>>>): void {
  const entries = Object.entries(handlers) as [CommandId, Handler][]
  onMounted(() => {
    for (const [id, handler] of entries) {
      handlersOf.set(id, [...(handlersOf.get(id) ?? []), handler])
    }
  })
  onBeforeUnmount(() => {
    for (const [id, handler] of entries) {
      const rest = (handlersOf.get(id) ?? []).filter((candidate) => candidate !== handler)
      handlersOf.set(id, rest)
    }
  })
}

/** Listens for commands, once, in the shell: from the menu where there is one, else from the same table's keys. */
export function useCommandKeys(): void {
  const leave = useClient().subscribe('app:command', (id) => {
    // The menu has taken the keys from the text that is being edited.
    if (id.startsWith('edit:') && isTextField(document.activeElement)) {
      document.execCommand(id === 'edit:undo' ? 'undo' : 'redo')
    } else runCommand(id)
  })
  const onKey = (event: KeyboardEvent): void => {
    // Under Electron the menu has the keys.
    const id = window.lesa ? null : commandOfKey(event, isMac)
    if (id === null || event.repeat || document.querySelector('dialog[open]')) return
    // While text is edited, undoing is the text's.
    if (id.startsWith('edit:') && isTextField(event.target)) return
    event.preventDefault()
    runCommand(id)
  }
  onMounted(() => window.addEventListener('keydown', onKey))
  onBeforeUnmount(() => {
    window.removeEventListener('keydown', onKey)
    leave()
  })
}

/** Whether typing goes into this element. */
export function isTextField(target: EventTarget | null): boolean {
  if (target instanceof HTMLTextAreaElement) return true
  if (!(target instanceof HTMLInputElement)) return false
  return !['checkbox', 'radio', 'range', 'button'].includes(target.type)
}
