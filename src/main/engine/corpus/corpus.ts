/** @file Texts as the token ids that a model is trained on. */
import { AppError } from '@shared/errors'
import type { TextFacts } from '@shared/pretraining'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import type { StageStore } from '../stages/StageStore'
import type { OpenTokenWindows } from './TokenWindows'

export interface CorpusRequest {
  /** Files and folders, in the order in which they are read. */
  readonly paths: readonly string[]
  /** Field of `.jsonl` and column of `.parquet`. */
  readonly textField: string
  /** Whose tokenizer, end-of-text token and vocabulary count. */
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
  /** Of all its tokens and where its documents end: equal digests have equal windows. */
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

/**
 * Tokenises texts, or finds the tokens that the store keeps.
 *
 * @throws AppError `bad_request`, `not_found`, `path_denied` for texts that cannot be read, `bad_tokenizer`.
 */
// eslint-disable-next-line require-yield
export async function* readCorpus(_request: CorpusRequest): AsyncGenerator<CorpusProgress, Corpus> {
  await Promise.resolve()
  throw new AppError('bug', 'Not built yet.')
}

/**
 * What decides the ids that a checkpoint's tokenizer makes of a text: checkpoints with equal digests share their windows.
 *
 * @throws AppError `bad_tokenizer`
 */
export function tokenDigest(_checkpoint: Checkpoint): Promise<string> {
  return Promise.reject(new AppError('bug', 'Not built yet.'))
}
