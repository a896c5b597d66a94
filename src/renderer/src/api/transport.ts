import type { Transport } from '@shared/contract'
import { SOCKET_PATH } from '@shared/wire'
import { WebSocketTransport } from './WebSocketTransport'

/** Electron's bridge where there is one, else the socket beside this page. */
export function findTransport(): Transport {
  if (window.lesa) return window.lesa
  const url = new URL(SOCKET_PATH, window.location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  return new WebSocketTransport(url.href)
}
