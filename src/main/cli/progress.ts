import { stripVTControlCharacters } from 'node:util'
import {
  foldChange,
  newJob,
  remainingMs,
  type JobEvent,
  type JobSnapshot,
  type JobSpec,
} from '@shared/jobs'
import { readCurveSeries, STEP_TOKENS_SERIES } from '@shared/pretraining'
import { shortened } from '@shared/text'
import { formatBytes, formatCount, formatDuration } from '@shared/units'
import type { CliIo } from './io'

/** The bar is drawn at most this often: ten times a second. */
const REDRAW_MS = 100
/** Without a terminal, a step that goes on is heard of at most this often. */
const PLAIN_INTERVAL_MS = 10_000
const BAR_WIDTH = 24

type Step = JobSnapshot['steps'][number]

/** Shows a job's progress on stderr: one live line on a terminal, a line for each finished step elsewhere. */
export class Progress {
  readonly #view: LiveLine | PlainLines
  readonly #io: CliIo
  readonly #now: () => number
  readonly #warned = new Set<string>()
  readonly #loss = new LatestLoss()
  readonly #speed = new TrainingSpeed()
  #written = ''
  #snapshot: JobSnapshot

  constructor(io: CliIo, spec: JobSpec, now: () => number = Date.now) {
    this.#io = io
    this.#now = now
    this.#snapshot = { ...newJob('', spec, now()), startedAt: now() }
    const isLive = io.stderr.isTTY === true && io.env['TERM'] !== 'dumb'
    this.#view = isLive ? new LiveLine(io, now) : new PlainLines(io, now)
  }

  /** Warnings that were shown. */
  get warned(): ReadonlySet<string> {
    return this.#warned
  }

  onEvent(event: JobEvent): void {
    this.#snapshot = foldChange(this.#snapshot, { ...event, at: this.#now() })
    switch (event.type) {
      case 'device':
        this.note(`device: ${event.decision.device} (${event.decision.reason})`)
        break
      case 'log':
        if (event.level === 'warning') this.warn(event.text)
        else this.note(event.text)
        break
      case 'artifact':
        this.note(`wrote ${event.path} (${formatBytes(event.sizeBytes)})`)
        break
      case 'step': {
        const step = this.#snapshot.steps.find(({ id }) => id === event.id)
        const loss = this.#loss.during(event.id)
        const measures = {
          loss,
          tokensPerSecond: loss === null ? null : this.#speed.value,
          written: this.#written,
        }
        if (step) this.#view.show(this.#snapshot, step, measures)
        break
      }
      case 'text':
        this.#written = this.#snapshot.texts?.[event.stream] ?? ''
        break
      case 'metric':
        this.#loss.note(event)
        this.#speed.note(event, this.#now())
        break
      case 'plan':
    }
  }

  /** Prints a line of its own; control characters in it (a file's name may hold some) do nothing. */
  note(text: string): void {
    this.#view.clear()
    this.#io.stderr.write(`${printable(text)}\n`)
  }

  warn(text: string): void {
    if (this.#warned.has(text)) return
    this.#warned.add(text)
    this.note(`${paint(this.#io, '33', 'warning')}: ${printable(text)}`)
  }

  /** Leaves the terminal as it was. */
  close(): void {
    this.#view.clear()
  }
}

/** The training loss to show beside a step: the newest one, as long as the step goes on in which it came. */
class LatestLoss {
  #value: number | null = null
  #isNew = false
  #stepId: string | null = null

  note({ series, y }: Extract<JobEvent, { type: 'metric' }>): void {
    const value = y.at(-1)
    if (!series.startsWith('loss/') || value === undefined) return
    this.#value = value
    this.#isNew = true
  }

  during(stepId: string): number | null {
    if (stepId !== this.#stepId && !this.#isNew) this.#value = null
    this.#stepId = stepId
    this.#isNew = false
    return this.#value
  }
}

/** How long tokens are counted for a speed. */
const SPEED_OVER_MS = 20_000

/**
 * Tokens a second of a training, from the points of its loss in the last seconds; `null` while there are none. Evaluations
 * in between end with points of their own, and their time does not count.
 */
class TrainingSpeed {
  readonly #reached = new Map<string, number>()
  #tokensPerStep: number | null = null
  #since: number | null = null
  /** Steps and the time that they took, oldest first. */
  #taken: readonly { readonly at: number; readonly steps: number; readonly ms: number }[] = []

  note({ series, x, y }: Extract<JobEvent, { type: 'metric' }>, now: number): void {
    if (series === STEP_TOKENS_SERIES) this.#tokensPerStep = y.at(-1) ?? null
    const curve = readCurveSeries(series)
    if (curve === null) return
    const since = this.#since
    this.#since = now
    if (curve.kind !== 'loss') return
    const [step = 0, before] = [x.at(-1), this.#reached.get(series)]
    this.#reached.set(series, step)
    // What was kept of an earlier run comes at once, and took no time now.
    if (before === undefined || since === null || step <= before) return
    const recent = this.#taken.filter(({ at }) => now - at <= SPEED_OVER_MS)
    this.#taken = [...recent, { at: now, steps: step - before, ms: now - since }]
  }

  get value(): number | null {
    const ms = this.#taken.reduce((sum, each) => sum + each.ms, 0)
    const steps = this.#taken.reduce((sum, each) => sum + each.steps, 0)
    if (this.#tokensPerStep === null || ms === 0) return null
    return (1000 * this.#tokensPerStep * steps) / ms
  }
}

/** What is told beside a step. */
interface Measures {
  readonly loss: number | null
  readonly tokensPerSecond: number | null
  /** The text that is being written, as far as it is. */
  readonly written: string
}

/** Characters of a text's end that are shown while it is written. */
const SHOWN_TEXT = 32

/** One line that is drawn over and over. */
class LiveLine {
  readonly #io: CliIo
  readonly #now: () => number
  #drawnAt = -Infinity
  #isDrawn = false

  constructor(io: CliIo, now: () => number) {
    this.#io = io
    this.#now = now
  }

  show(snapshot: JobSnapshot, step: Step, measures: Measures): void {
    const now = this.#now()
    if (now - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = now
    this.#isDrawn = true
    // A terminal that does not know its width says 0.
    const width = (this.#io.stderr.columns || 80) - 1
    this.#io.stderr.write(
      `\r\u001b[K${fit(liveText(snapshot, step, measures, now, this.#io), width)}`,
    )
  }

  clear(): void {
    if (this.#isDrawn) this.#io.stderr.write('\r\u001b[K')
    this.#isDrawn = false
    this.#drawnAt = -Infinity
  }
}

/** Lines for a log file: one when a step has ended, and one now and then while it goes on. */
class PlainLines {
  readonly #io: CliIo
  readonly #now: () => number
  readonly #ended = new Set<string>()
  #saidAt: number

  constructor(io: CliIo, now: () => number) {
    this.#io = io
    this.#now = now
    this.#saidAt = now()
  }

  show(snapshot: JobSnapshot, step: Step, measures: Measures): void {
    const now = this.#now()
    const isOver = step.total > 0 && step.done >= step.total
    if (isOver ? this.#ended.has(step.id) : now - this.#saidAt < PLAIN_INTERVAL_MS) return
    if (isOver) this.#ended.add(step.id)
    this.#saidAt = now
    const parts = [
      `[${percent(snapshot)}] ${printable(step.label)}`,
      ...facts(snapshot, step, measures, now),
    ]
    this.#io.stderr.write(`${parts.join('  ')}\n`)
  }

  clear(): void {}
}

function liveText(
  snapshot: JobSnapshot,
  step: Step,
  measures: Measures,
  now: number,
  io: CliIo,
): string {
  const filled = Math.round(snapshot.progress * BAR_WIDTH)
  const bar = paint(io, '36', '='.repeat(filled)) + paint(io, '2', '-'.repeat(BAR_WIDTH - filled))
  return [
    `[${bar}] ${percent(snapshot)}  ${printable(step.label)}`,
    ...facts(snapshot, step, measures, now),
  ].join('  ')
}

/** What there is to say of a step: how far it is, the latest loss, the speed of a training, the time left. */
function facts(snapshot: JobSnapshot, step: Step, measures: Measures, now: number): string[] {
  const { loss, tokensPerSecond, written } = measures
  const isOver = step.total > 0 && step.done >= step.total
  const left = remainingMs(snapshot, now)
  return [
    ...(isOver ? ['done'] : step.total > 1 ? [`${count(step.done)}/${count(step.total)}`] : []),
    ...(loss === null ? [] : [`loss ${loss.toPrecision(4)}`]),
    ...(tokensPerSecond === null ? [] : [`${formatCount(tokensPerSecond)} tokens/s`]),
    ...(written === '' || isOver ? [] : [`…${endOf(written)}`]),
    // Less than a second is no news.
    ...(left === null || left < 1_000 ? [] : [`ETA ${formatDuration(left)}`]),
  ]
}

function endOf(text: string): string {
  const plain = printable(text).replace(/\s+/g, ' ')
  return [...plain].slice(-SHOWN_TEXT).join('')
}

/** Layers and mini-batches in full, bytes in short. */
function count(value: number): string {
  return value < 100_000 ? String(Math.floor(value)) : formatCount(value)
}

function percent({ progress }: JobSnapshot): string {
  return `${Math.floor(progress * 100)
    .toString()
    .padStart(3)} %`
}

/** Cuts a line with colour codes to `width` visible characters. */
function fit(text: string, width: number): string {
  if (stripVTControlCharacters(text).length <= width) return text
  let visible = 0
  let cut = ''
  // eslint-disable-next-line no-control-regex -- colour codes take no room and stay whole.
  for (const [part] of text.matchAll(/\u001b\[\d*m|[^]/gu)) {
    const isCode = part.startsWith('\u001b')
    if (isCode || visible < width - 1) cut += part
    if (!isCode) visible += 1
  }
  return `${cut}…`
}

/** Characters of one message: a stack, at the most. */
const MESSAGE_LENGTH = 8_000

/** Text from files and paths, harmless to a terminal: no codes, no turned directions, no endless names. */
export function printable(text: string): string {
  const plain = stripVTControlCharacters(text).replace(
    /[^\P{Cc}\t\n]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
    '\ufffd',
  )
  return shortened(plain, MESSAGE_LENGTH)
}

/** Colours text on a terminal that wants it (https://no-color.org). */
export function paint(io: CliIo, code: string, text: string): string {
  const wantsColour =
    io.stderr.isTTY === true && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb' && text !== ''
  return wantsColour ? `\u001b[${code}m${text}\u001b[0m` : text
}
