import { formatBytes } from '@shared/units'

/** The list of models in the Hugging Face cache. */
export const CACHED = {
  label: 'Models in the Hugging Face cache',
  facts: (layers: number | null, bytes: number) =>
    [...(layers === null ? [] : [`${layers} layers`]), formatBytes(bytes)].join(' · '),
  revision: (revision: string) => `Revision ${revision}`,
  empty: (folder: string) => `The Hugging Face cache (${folder}) holds no models.`,
} as const
