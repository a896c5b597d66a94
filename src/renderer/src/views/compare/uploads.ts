import { AppError } from '@shared/errors'
import { MAX_UPLOAD_BYTES, type TextSource } from '@shared/projects'
import { formatBytes } from '@shared/units'

/**
 * A text that the window holds, as it is sent.
 *
 * @throws AppError `bad_request` when it is too long for that.
 */
export function uploadOf(name: string, content: string): TextSource {
  const source = { name, content }
  if (new Blob([JSON.stringify(source)]).size > MAX_UPLOAD_BYTES) {
    throw new AppError(
      'bad_request',
      `${name} cannot be sent: it is longer than ${formatBytes(MAX_UPLOAD_BYTES)}.`,
      { hint: 'Put it on the machine that the program runs on, and choose it there.' },
    )
  }
  return source
}

/**
 * A file that was chosen in the window: by its path where the host knows it, else with what is in it.
 *
 * @throws AppError `bad_request` when it is no text, or too long to be sent.
 */
export async function sourceOf(file: File, path: string | null): Promise<TextSource> {
  if (path !== null) return path
  if (file.size > MAX_UPLOAD_BYTES) return uploadOf(file.name, ' '.repeat(MAX_UPLOAD_BYTES))
  const bytes = new Uint8Array(await file.arrayBuffer())
  try {
    return uploadOf(file.name, new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('bad_request', `${file.name} cannot be used: it is not UTF-8 text.`, {
      hint: 'Choose a file of plain UTF-8 text.',
      cause: error,
    })
  }
}
