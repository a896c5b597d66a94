/** @file The texts that a start is fitted to: windows to find a direction on, others to choose the step on, others to judge by. */
import { AppError } from '@shared/errors'
import type { CalibrationSpec } from '@shared/jobs/growth'
import type { TextFacts } from '@shared/pretraining'
import { formatCount } from '@shared/units'
import type { ModelConfig } from '../architectures/config'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { readCorpus, type Corpus } from '../corpus/corpus'
import type { OpenTokenWindows } from '../corpus/TokenWindows'
import { Random } from '../lib/random'
import { mapEvents } from '../lib/reporting'
import type { StageStore } from '../stages/StageStore'

/** Tokens of a window, at the most and at the least where a short text would make too few of them. */
const CONTEXT = { most: 512, least: 64 } as const

/** Windows that a text should have, so that some are left to choose and to judge by. */
const WANTED_WINDOWS = 40
const LEAST_WINDOWS = 5

/** Tokens of a round over the model's `intermediate_size`, and the fewest; with less than `few` it is said. */
const TOKENS = { perFeature: 4, least: 4096, few: 3 } as const

/** Of the windows of each kind, the share that is old text where there is some. */
export const OLD_SHARE = 0.25

/** Windows to choose and to judge by over those of a round, and the shares of the text that they take at the most. */
const OTHERS = { share: 0.25, least: 8, most: 64, ofText: 0.2 } as const

export interface Calibration {
  /** Tokens of a window. */
  readonly context: number
  readonly texts: readonly TextFacts[]
  readonly oldTexts: readonly TextFacts[]
  /** Of the tokens of all windows: equal digests have equal ones. */
  readonly digests: readonly string[]
  /** Windows of a round: `fit` for the direction, `search` for the step. */
  readonly round: (round: number) => { readonly fit: Int32Array[]; readonly search: Int32Array[] }
  /** Windows that are used for nothing but to tell what came of it. */
  readonly unseen: { readonly text: Int32Array[]; readonly oldText: Int32Array[] | null }
  /** What a person should know. */
  readonly remarks: readonly string[]
}

/** Tokens that a round is fitted to. */
export function calibrationTokens(
  { tokens }: Pick<CalibrationSpec, 'tokens'>,
  { intermediateSize }: Pick<ModelConfig, 'intermediateSize'>,
): number {
  return tokens ?? Math.max(TOKENS.least, TOKENS.perFeature * intermediateSize)
}

/** The longest window of a model's calibration; a short text makes it shorter. */
export function calibrationContext(
  { context }: Pick<CalibrationSpec, 'context'>,
  { maxPositionEmbeddings }: Pick<ModelConfig, 'maxPositionEmbeddings'>,
): number {
  return context ?? Math.min(CONTEXT.most, maxPositionEmbeddings ?? CONTEXT.most)
}

/** Windows of a round, with those that go with them where the text has enough. */
export function windowsOf(fit: number): {
  readonly fit: number
  readonly search: number
  readonly unseen: number
} {
  const others = othersOf(fit)
  return { fit, search: others, unseen: others }
}

function othersOf(perRound: number): number {
  return Math.min(OTHERS.most, Math.max(OTHERS.least, Math.ceil(perRound * OTHERS.share)))
}

export interface CalibrationRequest {
  readonly spec: CalibrationSpec
  readonly checkpoint: Checkpoint
  readonly rounds: number
  readonly seed: number
  readonly store: StageStore
  readonly signal: AbortSignal
}

/**
 * Reads and tokenises the texts; yields the share that is done.
 *
 * @throws AppError as `readCorpus`, and `bad_request` for a text of too few tokens.
 */
export async function* readCalibration({
  spec,
  checkpoint,
  rounds,
  seed,
  store,
  signal,
}: CalibrationRequest): AsyncGenerator<number, Calibration> {
  const paths = [spec.text, ...(spec.oldText === undefined ? [] : [spec.oldText])]
  const corpora: Corpus[] = []
  for (const [index, path] of paths.entries()) {
    const reading = readCorpus({ paths: [path], textField: 'text', checkpoint, store, signal })
    corpora.push(
      yield* mapEvents(
        reading,
        ({ doneBytes, totalBytes }) => (index + doneBytes / Math.max(1, totalBytes)) / paths.length,
      ),
    )
  }
  const context = contextFor(spec, checkpoint.config, corpora)
  const wanted = Math.max(1, Math.round(calibrationTokens(spec, checkpoint.config) / context))
  const oldShare = corpora.length > 1 ? OLD_SHARE : 0
  const ofRound = [Math.max(1, Math.round(wanted * (1 - oldShare))), Math.round(wanted * oldShare)]
  const parts: Part[] = []
  for (const [index, corpus] of corpora.entries()) {
    const request = { perRound: Math.max(1, ofRound[index] ?? 1), rounds, seed }
    parts.push(await readPart(corpus, context, request, paths[index]!))
  }
  const [own, old] = parts as [Part, Part?]
  const each = (pool: (part: Part) => Int32Array[]): Int32Array[] => parts.flatMap(pool)
  return {
    context,
    texts: corpora[0]!.texts,
    oldTexts: corpora[1]?.texts ?? [],
    digests: corpora.map(({ digest }) => digest),
    round: (round) => ({
      fit: each(({ fit, perRound }) => cycled(fit, round, perRound)),
      search: each(({ search, perSearch }) => cycled(search, round, perSearch)),
    }),
    unseen: { text: own.unseen, oldText: old?.unseen ?? null },
    remarks: [
      ...corpora.flatMap(({ remarks }) => remarks),
      ...cautions(own, checkpoint.config, context, rounds),
    ],
  }
}

interface Part {
  readonly fit: readonly Int32Array[]
  readonly search: readonly Int32Array[]
  readonly unseen: Int32Array[]
  readonly perRound: number
  readonly perSearch: number
}

async function readPart(
  corpus: Corpus,
  context: number,
  {
    perRound,
    rounds,
    seed,
  }: { readonly perRound: number; readonly rounds: number; readonly seed: number },
  path: string,
): Promise<Part> {
  const windows = await corpus.windows(context)
  try {
    if (windows.count < LEAST_WINDOWS) {
      throw new AppError('bad_request', `${path} is too short to fit a start to.`, {
        hint: 'Give a longer text, or shorter windows.',
        context: {
          file: path,
          field: 'text',
          expected: `${LEAST_WINDOWS} windows of ${context} tokens`,
          actual: `${formatCount(corpus.tokens)} tokens`,
        },
      })
    }
    const order = new Random(seed, 'calibration').shuffle(
      Uint32Array.from({ length: windows.count }, (_, index) => index),
    )
    const most = Math.max(1, Math.floor(windows.count * OTHERS.ofText))
    const others = othersOf(perRound)
    const unseen = Math.min(most, others)
    const search = Math.min(most, rounds * others)
    const fit = Math.min(windows.count - unseen - search, rounds * perRound)
    return {
      unseen: await read(windows, order.subarray(0, unseen)),
      search: await read(windows, order.subarray(unseen, unseen + search)),
      fit: await read(windows, order.subarray(unseen + search, unseen + search + fit)),
      perRound,
      perSearch: Math.min(search, others),
    }
  } finally {
    await windows.close()
  }
}

async function read(windows: OpenTokenWindows, places: Uint32Array): Promise<Int32Array[]> {
  const all: Int32Array[] = []
  for (const place of places) all.push(await windows.at(place))
  return all
}

/** The windows of a round, one after those of the round before; from the first one again where there are no more. */
function cycled(pool: readonly Int32Array[], round: number, count: number): Int32Array[] {
  const taken = Math.min(count, pool.length)
  return Array.from({ length: taken }, (_, index) => pool[(round * taken + index) % pool.length]!)
}

/** @throws AppError `bad_request` when there are fewer tokens than the shortest window has. */
function contextFor(
  spec: CalibrationSpec,
  config: ModelConfig,
  corpora: readonly Corpus[],
): number {
  let context = calibrationContext(spec, config)
  if (spec.context !== undefined) return context
  const fewest = Math.min(...corpora.map(({ tokens }) => tokens))
  while (context / 2 >= CONTEXT.least && fewest / context < WANTED_WINDOWS) {
    context = Math.floor(context / 2)
  }
  return context
}

function cautions(
  { fit, perRound }: Part,
  { intermediateSize }: ModelConfig,
  context: number,
  rounds: number,
): string[] {
  const tokens = Math.min(fit.length, perRound) * context
  return [
    ...(tokens < TOKENS.few * intermediateSize
      ? [
          `A round is fitted to ${formatCount(tokens)} tokens, fewer than ${TOKENS.few} times the model's ` +
            `intermediate_size (${intermediateSize}): more text gives a better start.`,
        ]
      : []),
    ...(rounds > 1 && fit.length < rounds * perRound
      ? [
          `The text has ${fit.length} windows to fit to, and ${rounds} rounds would take ${rounds * perRound}: later rounds see ` +
            'some of them again, which helps less and may harm.',
        ]
      : []),
  ]
}
