import type { CHOOSE_PURPOSES } from '@shared/contract'
import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import { useClient } from '../api/client'
import { useAppStore } from './app'

export type ChoosePurpose = (typeof CHOOSE_PURPOSES)[number]

export interface ChooserRequest {
  readonly title: string
  readonly kind: 'folder' | 'text'
  readonly purpose: ChoosePurpose
  /** Where choosing begins; the home folder for `null`. */
  readonly start: string | null
  readonly resolve: (path: string | null) => void
}

/** Asks for a folder or a text file: in the system's dialog where there is one, else in our own picker. */
export const useChooserStore = defineStore('chooser', () => {
  const client = useClient()
  const app = useAppStore()
  /** What the picker of the shell is asked for now. */
  const request = shallowRef<ChooserRequest | null>(null)

  /** @returns The path, which counts as opened from now on; `null` when nothing was chosen. @throws AppError */
  function folder(options: {
    title: string
    purpose: ChoosePurpose
    start?: string | null
  }): Promise<string | null> {
    if (app.info?.host === 'electron') return client.call('folders:choose', options.purpose)
    return ask({ ...options, kind: 'folder', start: options.start ?? null })
  }

  /** As {@link folder}, for a text file. @throws AppError */
  function text(options: { title: string; start?: string | null }): Promise<string | null> {
    if (app.info?.host === 'electron') return client.call('files:chooseText')
    return ask({ ...options, kind: 'text', purpose: 'folder', start: options.start ?? null })
  }

  async function ask(asked: Omit<ChooserRequest, 'resolve'>): Promise<string | null> {
    request.value?.resolve(null)
    const chosen = await new Promise<string | null>((resolve) => {
      request.value = { ...asked, resolve }
    })
    request.value = null
    return chosen === null ? null : client.call('folders:open', chosen)
  }

  return { request, folder, text }
})
