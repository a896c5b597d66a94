/** @file Texts as the token ids that a model is trained on. */
import { createHash } from 'node:crypto'
import { open, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { AppError } from '@shared/errors'
import type { TextFacts } from '@shared/pretraining'
import { fewOf } from '@shared/text'
import { formatCount } from '@shared/units'
import { writeError } from '@system/errors'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { SourceFiles } from '../checkpoint/SourceFiles'
import { findEndOfText } from '../evaluation/endOfText'
import {
  checkIds,
  loadTokenizer,
  type Tokenizer,
  type TokenizerSession,
} from '../evaluation/tokenizer'
import type { StageDraft, StageStore } from '../stages/StageStore'
import { MAX_PIECE, readDocuments, type ReadOptions } from './documents'
import {
  JoinedTokens,
  factsSchema,
  type FileFacts,
  type PartFacts,
  type PlacedPiece,
} from './joinedTokens'
import { findTexts, type TextFile } from './textFiles'
import { appendTokens, openWindows, type TokenFile } from './tokenFiles'
import type { OpenTokenWindows } from './TokenWindows'

/** The stage that keeps a part's tokens. */
const STAGE = 'tokens'

/** Of what is kept: another version's is made anew. */
const VERSION = 1

/** Bytes of files whose tokens are kept together: what an interrupted job does again at most, a single file aside. */
const PART_BYTES = 256e6

/** What is tokenised at once: enough to keep every core busy, little enough to see progress. */
const BATCH = { characters: 2 ** 22, texts: 2 ** 14 }

/** Files that a remark names. */
const NAMED = 5

const NO_END =
  'The model names no end-of-text token (eos_token_id): documents follow each other without one.'

export interface CorpusRequest {
  /** Files and folders, in the order in which they are read. */
  readonly paths: readonly string[]
  /** Field of `.jsonl` and column of `.parquet`. */
  readonly textField: string
  /** Whose tokenizer, end-of-text token and vocabulary joined. */
  readonly checkpoint: Checkpoint
  /** Keeps the tokens, so that they are found again. */
  readonly store: StageStore
  readonly signal: AbortSignal
}

/** How far reading and tokenising are. */
export interface CorpusProgress {
  /** Of the files, as they lie on the disk. */
  readonly doneBytes: number
  readonly totalBytes: number
  readonly documents: number
  readonly tokens: number
}

/** Tokenised texts. */
export interface Corpus {
  /** One for each path that was asked for; the files of a folder are summed up. */
  readonly texts: readonly TextFacts[]
  /** Of its tokens: equal digests have equal windows. */
  readonly digest: string
  /** End-of-text tokens included. */
  readonly tokens: number
  readonly documents: number
  /** What stands after each document; `null` where the model names no such token. */
  readonly endOfText: number | null
  /** What a person should know, a sentence each. */
  readonly remarks: readonly string[]
  /**
   * The documents one after another, cut into windows.
   *
   * @throws AppError `bad_request` when there are fewer tokens than a window has.
   */
  windows(length: number): Promise<OpenTokenWindows>
}

interface Part {
  readonly files: readonly TextFile[]
  readonly facts: PartFacts
  readonly stored: TokenFile
}

const tokenFile = (folder: string): string => join(folder, 'tokens.u32')
const factsFile = (folder: string): string => join(folder, 'tokens.json')

/**
 * Tokenises texts, each document without special tokens and with the end-of-text token after it, or finds the tokens
 * that the store keeps. Documents without a token are left out.
 *
 * @throws AppError `bad_request`, `not_found`, `path_denied` for texts that cannot be read, `bad_tokenizer`.
 */
export async function* readCorpus(request: CorpusRequest): AsyncGenerator<CorpusProgress, Corpus> {
  const { checkpoint, paths, signal } = request
  const { files, remarks } = await findTexts(paths)
  const tokenizer = await loadTokenizer(checkpoint.path)
  const endOfText = await findEndOfText(checkpoint, tokenizer, signal)
  const reader = new CorpusReader(request, tokenizer, endOfText.id, bytesOf(files))
  const parts: Part[] = []
  try {
    for (const part of partsOf(files)) parts.push(yield* reader.read(part))
  } finally {
    reader.close()
  }
  const each = parts.flatMap((part) =>
    part.files.map((file, index) => ({ file, facts: part.facts.files[index]! })),
  )
  const documents = each.reduce((sum, { facts }) => sum + facts.documents, 0)
  if (documents === 0) throw nothingIn(paths)
  const tokens = parts.reduce((sum, { facts }) => sum + facts.tokens, 0)
  return {
    texts: paths.map((path, source) =>
      factsOf(
        path,
        each.filter(({ file }) => file.source === source),
      ),
    ),
    digest: digestOf(parts),
    tokens,
    documents,
    endOfText: endOfText.id,
    remarks: [
      ...remarks,
      ...endOfText.remarks,
      ...(endOfText.id === null ? [NO_END] : []),
      ...reader.damages,
      ...remarksOf(parts, each),
    ],
    windows: async (length) => {
      if (tokens < length) throw tooFew(paths, tokens, length)
      return openWindows(
        parts.map(({ stored }) => stored),
        length,
      )
    },
  }
}

/**
 * What decides the ids that a checkpoint's tokenizer makes of a text, and how many there may be: checkpoints with equal
 * digests have the same windows.
 *
 * @throws AppError `bad_tokenizer`
 */
export async function tokenDigest(checkpoint: Checkpoint, signal: AbortSignal): Promise<string> {
  const tokenizer = await loadTokenizer(checkpoint.path)
  const { id } = await findEndOfText(checkpoint, tokenizer, signal)
  return JSON.stringify([tokenizer.fingerprint, id, checkpoint.config.vocabSize])
}

/** Makes or finds the tokens of one part after another. */
class CorpusReader {
  /** Kept tokens that were not as they were kept, a sentence each. */
  readonly damages: string[] = []
  /** Started when there is something to tokenise. */
  #session: TokenizerSession | null = null
  readonly #done = { doneBytes: 0, documents: 0, tokens: 0 }

  constructor(
    private readonly request: CorpusRequest,
    private readonly tokenizer: Tokenizer,
    private readonly endOfText: number | null,
    private readonly totalBytes: number,
  ) {}

  async *read(files: readonly TextFile[]): AsyncGenerator<CorpusProgress, Part> {
    const { checkpoint, signal, store, textField } = this.request
    signal.throwIfAborted()
    const key = {
      version: VERSION,
      files: files.map(({ path, identity }) => [path, `${identity.size}`, `${identity.mtimeNs}`]),
      field: files.some(({ format }) => !format.startsWith('.txt')) ? textField : null,
      tokenizer: this.tokenizer.fingerprint,
      endOfText: this.endOfText,
    }
    const found = await store.find(STAGE, key)
    if (found && 'damage' in found) {
      this.damages.push(`Tokens that were kept are made anew: ${found.damage}.`)
    }
    const folder =
      found && 'folder' in found
        ? found.folder
        : yield* this.#tokenise(files, await store.begin(STAGE, key))
    const facts = factsSchema.parse(JSON.parse(await readFile(factsFile(folder), 'utf8')))
    // Kept tokens may have been made for a model with a larger vocabulary.
    const largest = Int32Array.of(Math.max(0, facts.largestId))
    checkIds(largest, checkpoint.config.vocabSize, checkpoint.path)
    this.#done.doneBytes += bytesOf(files)
    this.#done.documents += facts.files.reduce((sum, { documents }) => sum + documents, 0)
    this.#done.tokens += facts.tokens
    yield { ...this.#done, totalBytes: this.totalBytes }
    return { files, facts, stored: { path: tokenFile(folder), tokens: facts.tokens } }
  }

  close(): void {
    this.#session?.close()
  }

  async *#tokenise(
    files: readonly TextFile[],
    draft: StageDraft,
  ): AsyncGenerator<CorpusProgress, string> {
    const { checkpoint, signal, textField } = this.request
    const sources = new SourceFiles('texts', 'bad_request')
    for (const { path, identity } of files) sources.see(path, identity)
    const session = (this.#session ??= this.tokenizer.open())
    const path = tokenFile(draft.folder)
    const joined = new JoinedTokens(files.length, this.endOfText)
    let remarks: readonly string[] = []
    try {
      const handle = await open(path, 'wx')
      try {
        for await (const batch of batchesOf(files, { field: textField, sources, signal })) {
          const texts = batch.pieces.map(({ text }) => text)
          const encoded = await session.encode(texts, { signal })
          remarks = encoded.remarks
          for (const ids of encoded.ids) checkIds(ids, checkpoint.config.vocabSize, checkpoint.path)
          await appendTokens(handle, path, joined.add(batch.pieces, encoded.ids))
          yield {
            doneBytes: this.#done.doneBytes + batch.readBytes,
            totalBytes: this.totalBytes,
            documents: this.#done.documents + joined.documents,
            tokens: this.#done.tokens + joined.tokens,
          }
        }
      } finally {
        await handle.close()
      }
      await sources.assertUnchanged()
      await writeFile(factsFile(draft.folder), JSON.stringify(joined.facts(remarks)))
      return await draft.commit()
    } catch (error) {
      throw writeError(error, path)
    } finally {
      await draft.discard()
    }
  }
}

/** What is tokenised at once. */
interface Batch {
  readonly pieces: readonly PlacedPiece[]
  /** Bytes of the part's files that have been read so far. */
  readonly readBytes: number
}

async function* batchesOf(files: readonly TextFile[], options: ReadOptions): AsyncGenerator<Batch> {
  let pieces: PlacedPiece[] = []
  let [characters, before] = [0, 0]
  for (const [index, file] of files.entries()) {
    for await (const piece of readDocuments(file, options)) {
      pieces.push({ ...piece, file: index })
      characters += piece.text.length
      if (characters < BATCH.characters && pieces.length < BATCH.texts) continue
      yield { pieces, readBytes: before + piece.readBytes }
      pieces = []
      characters = 0
    }
    before += Number(file.identity.size)
  }
  if (pieces.length > 0) yield { pieces, readBytes: before }
}

/** Files one after another, in groups whose tokens are kept together. */
function partsOf(files: readonly TextFile[]): TextFile[][] {
  const parts: TextFile[][] = []
  let room = 0
  for (const file of files) {
    if (room <= 0) {
      parts.push([])
      room = PART_BYTES
    }
    parts.at(-1)!.push(file)
    room -= Number(file.identity.size)
  }
  return parts
}

function digestOf(parts: readonly Part[]): string {
  const hash = createHash('sha256')
  for (const { facts } of parts) hash.update(`${facts.tokens} ${facts.sha256}\n`)
  return hash.digest('hex')
}

interface ReadFile {
  readonly file: TextFile
  readonly facts: FileFacts
}

function factsOf(path: string, files: readonly ReadFile[]): TextFacts {
  const full = resolve(path)
  const sum = (of: (file: ReadFile) => number): number =>
    files.reduce((total, file) => total + of(file), 0)
  return {
    name: basename(full) || full,
    bytes: sum(({ file }) => Number(file.identity.size)),
    documents: sum(({ facts }) => facts.documents),
    tokens: sum(({ facts }) => facts.tokens),
  }
}

function remarksOf(parts: readonly Part[], files: readonly ReadFile[]): string[] {
  const namesOf = (having: (facts: FileFacts) => boolean): string =>
    fewOf(
      files.filter(({ facts }) => having(facts)).map(({ file }) => basename(file.path)),
      NAMED,
    )
  const without = namesOf(({ documents }) => documents === 0)
  const empty = files.reduce((sum, { facts }) => sum + facts.empty, 0)
  const cut = namesOf(({ cut }) => cut)
  return [
    ...new Set(parts.flatMap(({ facts }) => facts.remarks)),
    ...(without === '' ? [] : [`Without any text: ${without}.`]),
    ...(empty === 0 ? [] : [`${empty} empty documents were left out.`]),
    ...(cut === '' ? [] : [cutRemark(cut)]),
  ]
}

function cutRemark(names: string): string {
  return (
    `Documents longer than ${formatCount(MAX_PIECE)} characters were tokenised in pieces, at whose seams a token may ` +
    `differ from the reference's: ${names}.`
  )
}

function bytesOf(files: readonly TextFile[]): number {
  return files.reduce((sum, { identity }) => sum + Number(identity.size), 0)
}

function nothingIn(paths: readonly string[]): AppError {
  return new AppError('bad_request', `There is no text in ${fewOf(paths)}.`, {
    hint: 'Name files that hold at least one document that is not empty.',
    context: { field: 'texts', expected: 'at least one document', actual: 'none' },
  })
}

function tooFew(paths: readonly string[], tokens: number, length: number): AppError {
  return new AppError(
    'bad_request',
    `${fewOf(paths)} has ${tokens} tokens, fewer than one window of ${length}.`,
    {
      hint: 'Name more text, or choose a shorter context.',
      context: { field: 'texts', expected: `at least ${length} tokens`, actual: String(tokens) },
    },
  )
}
