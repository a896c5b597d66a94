import type { CHOOSE_PURPOSES } from '@shared/contract'
import { useStorage } from '@vueuse/core'
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
  /** A model or a project: whoever asks opens either. */
  readonly isEither: boolean
  readonly resolve: (path: string | null) => void
}

/** Asks for a folder or a text file: in the system's dialog where there is one, else in our own picker. */
export const useChooserStore = defineStore('chooser', () => {
  const client = useClient()
  const app = useAppStore()
  /** What the picker of the shell is asked for now. */
  const request = shallowRef<ChooserRequest | null>(null)
  const places = useStorage<Partial<Record<ChoosePurpose | 'text', string>>>('lesa.places', {})

  /** @returns The path, which counts as opened from now on; `null` when nothing was chosen. @throws AppError */
  function folder(options: {
    title: string
    purpose: ChoosePurpose
    /** Where choosing begins; where the last choice for this purpose was made for `null`. */
    start?: string | null
    /** Where it begins the first time; the home folder by default. */
    firstStart?: string | null
    isEither?: boolean
  }): Promise<string | null> {
    if (app.info?.host === 'electron') return client.call('folders:choose', options.purpose)
    const { title, purpose, isEither = false } = options
    const start = options.start ?? placeOf(purpose) ?? options.firstStart ?? null
    return ask({ title, purpose, isEither, kind: 'folder', start })
  }

  /** As {@link folder}, for a text file. @throws AppError */
  function text(options: { title: string; start?: string | null }): Promise<string | null> {
    if (app.info?.host === 'electron') return client.call('files:chooseText')
    const start = options.start ?? placeOf('text')
    return ask({ title: options.title, kind: 'text', purpose: 'folder', isEither: false, start })
  }

  async function ask(asked: Omit<ChooserRequest, 'resolve'>): Promise<string | null> {
    request.value?.resolve(null)
    const chosen = await new Promise<string | null>((resolve) => {
      request.value = { ...asked, resolve }
    })
    request.value = null
    return chosen === null ? null : client.call('folders:open', chosen)
  }

  /** Where the picker was last, for each purpose. */
  function placeOf(purpose: ChoosePurpose | 'text'): string | null {
    return places.value[purpose] ?? null
  }

  /** Is told of every folder that the picker shows. */
  function remember({ kind, purpose }: ChooserRequest, folder: string): void {
    places.value = { ...places.value, [kind === 'text' ? 'text' : purpose]: folder }
  }

  return { request, folder, text, remember }
})
