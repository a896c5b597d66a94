import type { Transport } from '@shared/contract'

declare global {
  interface Window {
    /** What the preload script exposes; absent in a browser. */
    readonly lesa?: Transport
  }
}
