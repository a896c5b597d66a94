import type { Envelope, PushName, Pushes } from './contract'

/** Where the browser host's WebSocket is, beside the page. */
export const SOCKET_PATH = '/socket'

/** Window → browser host, as JSON text. */
export interface WireRequest {
  readonly id: number
  readonly name: string
  readonly args: readonly unknown[]
}

/** Browser host → window, as JSON text. */
export type WireMessage =
  | { readonly type: 'answer'; readonly id: number; readonly envelope: Envelope<unknown> }
  | {
      [P in PushName]: { readonly type: 'push'; readonly name: P; readonly payload: Pushes[P] }
    }[PushName]
