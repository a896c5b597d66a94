import { commandOfKey, type CommandId } from '@shared/commands'
import { onBeforeUnmount, onMounted } from 'vue'
import { useClient } from '../api/client'

export const isMac = navigator.platform.startsWith('Mac')

/** Runs commands: from the menu where there is one, from the same table's keys in a browser. */
export function useCommands(handlers: Readonly<Record<CommandId, () => void>>): void {
  const leave = useClient().subscribe('app:command', (id) => handlers[id]())
  const onKey = (event: KeyboardEvent): void => {
    // Under Electron the menu has the key.
    const id = window.lesa ? null : commandOfKey(event, isMac)
    if (id === null || event.repeat || document.querySelector('dialog[open]')) return
    event.preventDefault()
    handlers[id]()
  }
  onMounted(() => window.addEventListener('keydown', onKey))
  onBeforeUnmount(() => {
    window.removeEventListener('keydown', onKey)
    leave()
  })
}
