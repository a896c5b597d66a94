import { contextBridge, ipcRenderer, webUtils } from 'electron'
import { CALL_CHANNEL, DROP_CHANNEL, PUSH_CHANNEL } from '@shared/channels'
import type { Envelope, Transport } from '@shared/contract'

/**
 * The contract's three functions and nothing else: no channel name, no event object and no `ipcRenderer` reaches the
 * page. Which calls there are the router says, for every host.
 */
const transport: Transport = {
  call(name, args) {
    return ipcRenderer.invoke(CALL_CHANNEL, name, args) as Promise<Envelope<never>>
  },
  subscribe(name, listener) {
    const onPush = (_event: unknown, pushed: unknown, payload: unknown): void => {
      if (pushed === name) listener(payload as never)
    }
    ipcRenderer.on(PUSH_CHANNEL, onPush)
    return () => void ipcRenderer.off(PUSH_CHANNEL, onPush)
  },
  pathOfFile(file) {
    if (!(file instanceof File)) return null
    // Only a file that came from outside has a path: one that the page has made up has none.
    const path = webUtils.getPathForFile(file)
    if (path === '') return null
    // Sent before whatever the page asks about the path, so that it counts as opened by then.
    ipcRenderer.send(DROP_CHANNEL, path)
    return path
  },
}

contextBridge.exposeInMainWorld('lesa', transport)
