/** @file What lies under the name of a model's file when a download, a check-out or an editor went wrong. */

/** Of the start of a file: enough to tell. */
export const TELLING_BYTES = 512

export interface WrongContent {
  /** What follows the path of the file. */
  readonly what: string
  readonly hint: string
  readonly actual?: string
  /** Whether somebody may well mean it, where text is expected. */
  readonly mayBeText?: true
}

/** What a file is instead of JSON or weights, from its first bytes; `null` when they tell of nothing else. */
export function wrongContentOf(file: Uint8Array): WrongContent | null {
  const bytes = Buffer.from(file.buffer, file.byteOffset, Math.min(file.byteLength, TELLING_BYTES))
  const text = bytes.toString('latin1').trimStart()
  if (text.startsWith('version https://git-lfs.github.com/spec/')) {
    return {
      what: 'is a Git LFS pointer: the file itself was not downloaded',
      hint: 'Run git lfs pull in the folder, or download the model with hf download.',
    }
  }
  if (/^<(?:!doctype|html|head|\?xml)/i.test(text.replace(/^\xef\xbb\xbf/, ''))) {
    return {
      what: 'is a web page that was saved in its place',
      hint: 'The download was answered by an error or a login. Download the file again with hf download.',
      mayBeText: true,
    }
  }
  if (
    /^(?:Entry not found|Repository not found|Access to model|Invalid username|\{"error":)/.test(
      text,
    )
  ) {
    return {
      what: 'is the answer of a server that refused the download',
      hint: 'Log in (hf auth login), accept the terms of the model, and download it again.',
      actual: text.slice(0, 100),
      mayBeText: true,
    }
  }
  if (bytes.length > 1 && (bytes.readUInt16BE(0) === 0xfffe || bytes.readUInt16BE(0) === 0xfeff)) {
    return { what: 'is stored as UTF-16', hint: 'Save it as UTF-8.' }
  }
  return bytes.toString('latin1', 0, 3) === '\xef\xbb\xbf'
    ? {
        what: 'begins with a byte order mark, which cannot be seen and is no JSON',
        hint: 'Save the file as UTF-8 without BOM.',
        mayBeText: true,
      }
    : null
}
