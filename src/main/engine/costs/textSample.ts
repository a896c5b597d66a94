/** @file How a text becomes tokens, from a sample of it. */
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { SourceFiles } from '../checkpoint/SourceFiles'
import { readDocuments } from '../corpus/documents'
import { findTexts, type TextFile } from '../corpus/textFiles'
import { loadTokenizer } from '../evaluation/tokenizer'
import type { Calibration } from './calibration'

/** Files that are looked into, from the first to the last, and characters that are read of them together. */
const FILES = 4
const CHARACTERS = 400_000

export interface TextSample {
  /** Bytes of text in a token, on the mean. */
  readonly bytesPerToken: number
  /** Bytes of text that become tokens in a second. */
  readonly rate: number
}

/**
 * Reads and tokenises some of a text.
 *
 * @throws AppError what the job would throw of the same text: `bad_request`, `bad_tokenizer`.
 */
export async function sampleText(
  calibration: Calibration,
  checkpoint: Checkpoint,
  { paths, field }: { readonly paths: readonly string[]; readonly field: string },
): Promise<TextSample> {
  const { files } = await findTexts(paths)
  const chosen = [...new Set(Array.from({ length: FILES }, (_, at) => spread(files, at)))]
  const tokenizer = await loadTokenizer(checkpoint.path)
  const identities = chosen.map(({ path, identity: { size, mtimeNs } }) =>
    [path, size, mtimeNs].join('|'),
  )
  return calibration.textSample([tokenizer.fingerprint, field, ...identities], async () => {
    const texts = await readSample(chosen, field)
    const session = tokenizer.open()
    try {
      // Starts its process.
      await session.encode(['a'])
      const start = performance.now()
      const { ids } = await session.encode(texts)
      const seconds = (performance.now() - start) / 1000
      const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
      const tokens = ids.reduce((sum, each) => sum + each.length, 0)
      return { bytesPerToken: bytes / Math.max(1, tokens), rate: bytes / seconds }
    } finally {
      session.close()
    }
  })
}

/** One of {@link FILES} files that lie as far from each other as they can. */
function spread(files: readonly TextFile[], at: number): TextFile {
  return files[Math.floor((at * files.length) / FILES)]!
}

async function readSample(files: readonly TextFile[], field: string): Promise<string[]> {
  const texts: string[] = []
  const { signal } = new AbortController()
  for (const file of files) {
    let left = Math.floor(CHARACTERS / files.length)
    const options = { field, sources: new SourceFiles(), signal }
    for await (const { text } of readDocuments(file, options)) {
      texts.push(text.slice(0, left))
      left -= text.length
      if (left <= 0) break
    }
  }
  return texts
}
