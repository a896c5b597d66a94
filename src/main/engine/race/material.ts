/** @file What models are trained and measured on: texts as windows of tokens. */
import { basename } from 'node:path'
import type { JobEvent, PretrainSpec } from '@shared/jobs'
import type { MeasuredText, TextFacts } from '@shared/pretraining'
import { fewOf } from '@shared/text'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { readCorpus, type Corpus } from '../corpus/corpus'
import { splitWindows, WindowOrder } from '../corpus/order'
import { checkTexts } from '../corpus/textFiles'
import type { OpenTokenWindows, TokenWindows } from '../corpus/TokenWindows'
import { mapEvents } from '../lib/reporting'
import type { StageStore } from '../stages/StageStore'
import { measuredWindows, stepsOf } from '../pretraining/course'

/** A text that losses are measured on. */
export interface Measured {
  readonly windows: readonly Int32Array[]
  /** What decides them. */
  readonly key: unknown
  readonly text: Pick<MeasuredText, 'text' | 'tokens'>
}

export interface Material {
  readonly train: TokenWindows
  /** Windows that are trained on: the first ones. */
  readonly windows: number
  readonly digest: string
  readonly texts: readonly TextFacts[]
  readonly eval: Measured | null
  readonly forgetting: Measured | null
  /** Of the whole training. */
  readonly steps: number
  readonly remarks: readonly string[]
  close(): Promise<void>
}

/** Bytes of the texts, as they lie on the disk. @throws AppError where there are none that could be read. */
export async function checkMaterial(
  spec: PretrainSpec,
): Promise<{ readonly bytes: number; readonly remarks: readonly string[] }> {
  const checked = []
  for (const paths of groupsOf(spec)) checked.push(await checkTexts(paths))
  return {
    bytes: checked.reduce((sum, { bytes }) => sum + bytes, 0),
    remarks: checked.flatMap(({ remarks }) => remarks),
  }
}

function groupsOf({ texts, evalText, forgettingText }: PretrainSpec): (readonly string[])[] {
  return [texts, evalText, forgettingText].flatMap((paths) =>
    paths === undefined ? [] : [typeof paths === 'string' ? [paths] : paths],
  )
}

export interface MaterialRequest {
  readonly checkpoint: Checkpoint
  readonly context: number
  readonly store: StageStore
  /** Of all texts. */
  readonly bytes: number
  readonly signal: AbortSignal
  readonly pauses?: AbortSignal | undefined
  /** The job's step that tells how far it is. */
  readonly step: string
}

/** Reads and tokenises the texts of a training. @throws AppError as `readCorpus` and `Corpus.windows`. */
export async function* readMaterial(
  spec: PretrainSpec,
  request: MaterialRequest,
): AsyncGenerator<JobEvent, Material> {
  const { context, checkpoint, store, signal } = request
  const open: OpenTokenWindows[] = []
  const close = async (): Promise<void> => {
    for (const windows of open) await windows.close()
  }
  let done = 0
  const read = async function* (
    paths: readonly string[],
  ): AsyncGenerator<JobEvent, { corpus: Corpus; windows: OpenTokenWindows }> {
    let own = 0
    const corpus = yield* mapEvents(
      readCorpus({ paths, textField: spec.textField, checkpoint, store, signal }),
      ({ doneBytes, totalBytes }): JobEvent => {
        // What was tokenised so far is kept, but for a part of it.
        request.pauses?.throwIfAborted()
        own = doneBytes
        const total = Math.max(request.bytes, done + totalBytes)
        return { type: 'step', id: request.step, done: done + own, total }
      },
    )
    done += own
    const windows = await corpus.windows(context)
    open.push(windows)
    return { corpus, windows }
  }
  const measured = async function* (
    path: string,
  ): AsyncGenerator<JobEvent, Measured & { remarks: readonly string[] }> {
    const { corpus, windows } = yield* read([path])
    return {
      windows: await allOf(windows, 0, windows.count),
      key: { digest: corpus.digest, first: 0, count: windows.count },
      text: { text: basename(path), tokens: tokensOf(windows, windows.count) },
      remarks: corpus.remarks,
    }
  }
  try {
    const { corpus, windows } = yield* read(spec.texts)
    const split = splitWindows(windows.count, spec.evalText === undefined ? spec.evalShare : 0)
    const steps = stepsOf(spec, { context, windows: split.train })
    const held = measuredWindows(split.held, context)
    const text = fewOf(corpus.texts.map(({ name }) => name))
    const evaluation =
      spec.evalText !== undefined
        ? yield* measured(spec.evalText)
        : held === 0
          ? null
          : {
              windows: await allOf(windows, split.train, held),
              key: { digest: corpus.digest, first: split.train, count: held },
              text: { text: `${text}, held back`, tokens: tokensOf(windows, held) },
              remarks: [],
            }
    const forgetting =
      spec.forgettingText === undefined ? null : yield* measured(spec.forgettingText)
    return {
      train: windows,
      windows: split.train,
      digest: corpus.digest,
      texts: corpus.texts,
      eval: evaluation,
      forgetting,
      steps,
      remarks: [
        ...corpus.remarks,
        ...(evaluation?.remarks ?? []),
        ...(forgetting?.remarks ?? []),
        ...(evaluation !== null && held < split.held && spec.evalText === undefined
          ? [`Of ${split.held} windows that are held back the first ${held} are measured.`]
          : []),
        ...(evaluation === null && spec.evalShare > 0
          ? ['The text is one window only, so nothing of it is held back to be measured on.']
          : []),
      ],
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Gives each step its windows, the same ones to every model of a seed. */
export function batchesOf(
  { train, windows }: Pick<Material, 'train' | 'windows'>,
  { order, batch, seed }: Pick<PretrainSpec, 'order' | 'batch' | 'seed'>,
): (step: number) => Promise<Int32Array[]> {
  const ordered = new WindowOrder(windows, order, seed)
  return async (step) => {
    const found: Int32Array[] = []
    for (let index = 0; index < batch; index += 1) {
      found.push(await train.at(ordered.at((step - 1) * batch + index)))
    }
    return found
  }
}

async function allOf(windows: TokenWindows, first: number, count: number): Promise<Int32Array[]> {
  const all: Int32Array[] = []
  for (let index = first; index < first + count; index += 1) all.push(await windows.at(index))
  return all
}

/** That are scored: all of a window but its first. */
function tokensOf({ length }: TokenWindows, count: number): number {
  return count * (length - 1)
}
