import { contextBridge, ipcRenderer, webUtils } from 'electron'
import { CALL_CHANNEL, PUSH_CHANNEL } from '@shared/channels'
import type { Envelope, Transport } from '@shared/contract'
import { isCallName, isPushName } from '@shared/contractNames'

/** The contract and nothing else: no channel name, no event object and no `ipcRenderer` reaches the page. */
const transport: Transport = {
  call(name, args) {
    if (!isCallName(name)) return Promise.reject(new TypeError('There is no such call.'))
    return ipcRenderer.invoke(CALL_CHANNEL, name, args) as Promise<Envelope<never>>
  },
  subscribe(name, listener) {
    if (!isPushName(name)) throw new TypeError('There is no such push.')
    const onPush = (_event: unknown, pushed: unknown, payload: unknown): void => {
      if (pushed === name) listener(payload as never)
    }
    ipcRenderer.on(PUSH_CHANNEL, onPush)
    return () => void ipcRenderer.off(PUSH_CHANNEL, onPush)
  },
  pathOfFile(file) {
    if (!(file instanceof File)) return null
    const path = webUtils.getPathForFile(file)
    return path === '' ? null : path
  },
}

contextBridge.exposeInMainWorld('lesa', transport)
