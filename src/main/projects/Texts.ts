import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, parse, resolve } from 'node:path'
import { joinWindows } from '@shared/difference'
import { AppError } from '@shared/errors'
import { isOver, type EvaluateSpec, type JobSnapshot, type PerplexityResult } from '@shared/jobs'
import type { ModelSummary } from '@shared/model'
import type {
  EvaluationRequest,
  Perplexity,
  ProjectText,
  TextAddition,
  TextPlace,
} from '@shared/projects'
import { exists, writeFileAtomic } from '@system/files'
import type { BaseModel } from './BaseModel'
import { projectPaths } from './layout'
import { fileOfText } from './ownText'
import type { ProjectRecord } from './ProjectRecord'
import type { RunBook } from './RunBook'
import type { PartServices } from './services'

/** Longer than any text that perplexity is sensibly measured on. */
const MAX_TEXT_BYTES = 256e6

/** Where neither the person nor the model says; the engine's own default. */
const DEFAULT_CONTEXT = 2048

/** A project's texts, and the perplexities that were measured on them. */
export class Texts {
  readonly #missing = new Set<string>()

  constructor(
    private readonly record: ProjectRecord,
    private readonly base: BaseModel,
    private readonly runs: RunBook,
    private readonly services: PartServices,
  ) {}

  /** Finds out which are there. */
  async load(): Promise<void> {
    for (const { id } of this.record.file.texts) {
      if (!(await exists(projectPaths.text(this.record.folder, id)))) this.#missing.add(id)
    }
  }

  list(): ProjectText[] {
    return this.record.file.texts.map((text) => ({ ...text, exists: !this.#missing.has(text.id) }))
  }

  /** Copies a file's text into the project. @throws AppError `bad_request` when it is no text or too long. */
  async add(path: string): Promise<Omit<TextAddition, 'project'>> {
    return this.#keepText(basename(path), await readText(path))
  }

  /** As {@link Texts.add}, of a text that was pasted or read elsewhere. */
  async addContent(name: string, content: string): Promise<Omit<TextAddition, 'project'>> {
    const bytes = Buffer.from(content, 'utf8')
    checkText(name, bytes)
    return this.#keepText(name, bytes)
  }

  /** Adds a text's first and second half as texts of their own. @throws AppError `not_found`, `bad_request` for one line. */
  async split(id: string): Promise<readonly [first: ProjectText, second: ProjectText]> {
    const { name, path } = await fileOfText(this.record, id)
    const whole = await readFile(path, 'utf8')
    const at = middleOf(whole)
    if (at === null) {
      throw unusable(name, 'it has one line, which cannot be cut in two', path)
    }
    const { name: stem, ext } = parse(name)
    const add = async (half: string, content: string): Promise<ProjectText> =>
      (await this.addContent(`${stem}, ${half} half${ext}`, content)).text
    return [await add('first', whole.slice(0, at)), await add('second', whole.slice(at))]
  }

  /** Whether a place holds just this text. */
  async isText(id: string, place: TextPlace): Promise<boolean> {
    if ('text' in place) return place.text === id
    const found = await stat(place.path).catch(() => null)
    const { bytes } = this.#get(id)
    return found?.isFile() === true && found.size === bytes
      ? idOf(await readFile(place.path)) === id
      : false
  }

  /** A text is its content: what is there already keeps its name, and another text's name is not taken. */
  async #keepText(name: string, bytes: Buffer): Promise<Omit<TextAddition, 'project'>> {
    const id = idOf(bytes)
    const { folder } = this.record
    const target = projectPaths.text(folder, id)
    await mkdir(projectPaths.texts(folder), { recursive: true })
    if (!(await exists(target))) await writeFileAtomic(target, bytes.toString('utf8'))
    this.#missing.delete(id)
    const { texts } = this.record.file
    const known = texts.find((text) => text.id === id)
    if (!known) {
      const text = { id, name: freeName(name, texts), bytes: bytes.byteLength }
      await this.record.change({ texts: [...texts, text] })
    }
    return { text: this.#get(id), isNew: known === undefined }
  }

  /** @throws AppError `not_found`. */
  async remove(id: string): Promise<void> {
    this.#get(id)
    const { texts, perplexities } = this.record.file
    await rm(projectPaths.text(this.record.folder, id), { force: true })
    await this.record.change({
      texts: texts.filter((text) => text.id !== id),
      perplexities: perplexities.filter(({ text }) => text !== id),
    })
  }

  /** Those of what is there. */
  perplexities(): Perplexity[] {
    return this.record.file.perplexities.filter(({ subject }) => this.#isThere(subject))
  }

  /** What has not been measured so yet, each once. */
  unmeasured(
    { subjects, text, context, perLine }: EvaluationRequest,
    model: ModelSummary,
  ): string[] {
    const isKnown = (subject: string): boolean =>
      this.record.file.perplexities.some(
        (known) =>
          known.subject === subject &&
          known.text === text &&
          known.context === (context ?? defaultContext(model)) &&
          known.perLine === perLine &&
          // One from before intervals, or losses window by window, were kept is worth another.
          (known.predicted < 2 ||
            known.perplexity === null ||
            (known.standardError !== null && known.losses !== null)),
      )
    return [...new Set(subjects)].filter((subject) => !isKnown(subject))
  }

  /**
   * Queues the measurement of what has not been measured yet.
   *
   * @param onEnd Called once its job has ended and what it has measured is known.
   * @throws AppError `bad_request` when there is nothing to measure, `not_found`, `model_missing`.
   */
  async measure(request: EvaluationRequest, onEnd?: () => void): Promise<JobSnapshot> {
    const text = this.#get(request.text)
    const model = await this.base.ready()
    const { perLine, device: asked } = request
    const context = request.context ?? defaultContext(model.summary)
    await this.runs.refresh()
    const subjects = this.unmeasured(request, model.summary)
    if (subjects.length === 0) {
      throw new AppError('bad_request', 'All of that has been measured already.', {
        context: { field: 'subjects' },
      })
    }
    const spec: EvaluateSpec = {
      kind: 'evaluate',
      models: subjects.map((subject) =>
        subject === 'base' ? model.path : this.runs.modelOf(subject),
      ),
      // What has been forgotten is told with it.
      ...(subjects.some((subject) => subject !== 'base') ? { base: model.path } : {}),
      text: projectPaths.text(this.record.folder, text.id),
      context,
      perLine,
      device: asked,
    }
    return this.services.jobs.start(spec, {
      owner: { project: this.record.id },
      observer: {
        onState: (snapshot) => {
          if (snapshot.result?.kind !== 'evaluate') {
            if (isOver(snapshot)) onEnd?.()
            return
          }
          const device = snapshot.device?.device ?? asked
          const measured = snapshot.result.results.map((result, index): Perplexity => ({
            ...measurementOf(result),
            subject: subjects[index] ?? '',
            text: text.id,
            perLine,
            device,
          }))
          void this.#keep(measured)
            .catch((error: unknown) => this.record.report(error))
            .finally(onEnd)
        },
      },
    })
  }

  async #keep(measured: readonly Perplexity[]): Promise<void> {
    const keyOf = ({ subject, text, context, perLine }: Perplexity): string =>
      [subject, text, context, perLine].join('/')
    const replaced = new Set(measured.map(keyOf))
    const { texts, perplexities } = this.record.file
    // A run or a text may have been removed meanwhile.
    const kept = measured.filter(
      ({ subject, text }) => this.#isThere(subject) && texts.some(({ id }) => id === text),
    )
    const others = perplexities.filter((known) => !replaced.has(keyOf(known)))
    await this.record.change({ perplexities: [...others, ...kept] })
  }

  #isThere(subject: string): boolean {
    return subject === 'base' || this.runs.has(subject)
  }

  #get(id: string): ProjectText {
    const text = this.list().find((each) => each.id === id)
    if (text) return text
    throw new AppError('not_found', `The project has no text ${id}.`)
  }
}

function idOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

/** Where the line ends that is nearest to a text's middle; `null` where only one has something in it. */
function middleOf(text: string): number | null {
  const half = Math.floor(text.length / 2)
  const ends = [text.lastIndexOf('\n', half) + 1, text.indexOf('\n', half) + 1]
  const [end] = ends
    .filter((at) => text.slice(0, at).trim() !== '' && text.slice(at).trim() !== '')
    .sort((a, b) => Math.abs(a - half) - Math.abs(b - half))
  return end ?? null
}

function measurementOf(
  result: PerplexityResult,
): Omit<Perplexity, 'subject' | 'text' | 'perLine' | 'device'> {
  const { perplexity, context, tokens, predicted, standardError, seconds, against_base } = result
  return {
    // JSON knows no infinity.
    perplexity: Number.isFinite(perplexity) ? perplexity : null,
    context,
    tokens,
    predicted,
    standardError,
    losses: lossesOf(result),
    againstBase: against_base
      ? {
          kl: against_base.kl,
          kl_standard_error: against_base.kl_standard_error,
          top1_agreement: against_base.top1_agreement,
        }
      : null,
    seconds,
    measuredAt: Date.now(),
  }
}

/** As many as a difference tells apart are kept. */
function lossesOf({
  window_nll: nll,
  window_tokens: tokens,
}: PerplexityResult): Perplexity['losses'] {
  // JSON knows no infinity.
  if (!nll || !tokens || !nll.every(Number.isFinite)) return null
  return joinWindows({ windowNll: nll, windowTokens: tokens })
}

function defaultContext({ max_position_embeddings: limit }: ModelSummary): number {
  return Math.min(limit ?? DEFAULT_CONTEXT, DEFAULT_CONTEXT)
}

async function readText(path: string): Promise<Buffer> {
  const file = resolve(path)
  const found = await stat(file).catch((cause: unknown) => {
    throw new AppError('not_found', `${file} does not exist.`, { context: { file }, cause })
  })
  if (!found.isFile()) throw unusable(basename(file), 'it is not a file', file)
  if (found.size > MAX_TEXT_BYTES) throw unusable(basename(file), 'it is longer than 256 MB', file)
  const bytes = await readFile(file)
  checkText(basename(file), bytes, file)
  return bytes
}

function checkText(name: string, bytes: Buffer, file?: string): void {
  if (bytes.byteLength === 0) throw unusable(name, 'it is empty', file)
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw unusable(name, 'it is not UTF-8 text', file, cause)
  }
}

function unusable(name: string, reason: string, file?: string, cause?: unknown): AppError {
  return new AppError('bad_request', `${name} cannot be used: ${reason}.`, {
    hint: 'Choose a file of plain UTF-8 text.',
    context: { ...(file === undefined ? {} : { file }), field: 'text' },
    ...(cause === undefined ? {} : { cause }),
  })
}

/** `eval.txt`, or `eval (2).txt` where another text is called so. */
function freeName(name: string, texts: readonly { readonly name: string }[]): string {
  const taken = new Set(texts.map((text) => text.name))
  const { name: stem, ext } = parse(name)
  let free = name
  for (let count = 2; taken.has(free); count += 1) free = `${stem} (${count})${ext}`
  return free
}
