import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { DeviceChoice } from '@shared/devices'
import { AppError } from '@shared/errors'
import { descentSpecSchema, evaluateSpecSchema, type EvaluateSpec } from '@shared/jobs'
import { readError } from '@system/errors'
import { modelFolderOf } from '@system/hubCache'
import { checkedSpec } from '../checkedSpec'
import { formatDescent, formatMeasured, measuredOf } from '../compareResults'
import { EXIT_OK } from '../exitCodes'
import { runJobIn, startEngine } from '../job'
import type { CommandContext } from '../program'
import { shortPath, toJson } from '../results'
import { UsageError } from '../usage'

export interface CompareOptions {
  readonly start?: string
  readonly base?: string
  readonly text?: readonly string[]
  readonly context?: number
  readonly device?: DeviceChoice
}

/** @throws UsageError, or AppError for what cannot be measured, before anything is started. */
export async function compare(
  model: string,
  options: CompareOptions,
  context: CommandContext,
): Promise<number> {
  const { io, json } = context
  const folderOf = (given: string): Promise<string> => modelFolderOf(given, io.cwd)
  const trained = await folderOf(model)
  const base = options.base === undefined ? undefined : await folderOf(options.base)
  const start =
    options.start === undefined ? await foundStart(trained, context) : await folderOf(options.start)
  const spec = checkedSpec(descentSpecSchema, { kind: 'descent', trained, start }, {})
  const texts = (options.text ?? []).map((text) => resolve(io.cwd, text))
  if (texts.length === 0) refuseUnused(options)
  const measurements = texts.map((text): EvaluateSpec =>
    checkedSpec(
      evaluateSpecSchema,
      {
        kind: 'evaluate',
        models: [start, trained],
        base: base ?? start,
        text,
        ...(options.context === undefined ? {} : { context: options.context }),
        perLine: false,
        device: options.device ?? 'auto',
      },
      {},
    ),
  )
  if (texts.length > 0) {
    await checkMeasurable([trained, start, ...(base === undefined ? [] : [base])], texts)
  }
  const engine = startEngine(context)
  try {
    const compared = await runJobIn(engine, spec, context)
    if ('exitCode' in compared) return compared.exitCode
    if (!json) io.stdout.write(formatDescent(compared.result, io.cwd))
    const measured = []
    for (const asked of measurements) {
      const end = await runJobIn(engine, asked, context)
      if ('exitCode' in end) return end.exitCode
      const one = { result: end.result, spec: asked, cwd: io.cwd }
      measured.push(measuredOf(one))
      if (!json) io.stdout.write(`\n${formatMeasured(one)}`)
    }
    if (json) {
      const { kind: _kind, ...result } = compared.result
      io.stdout.write(toJson({ ...result, measured }))
    }
    return EXIT_OK
  } finally {
    await engine.dispose()
  }
}

/** The start that the folders around the trained one tell of; it is said. */
async function foundStart(trained: string, { io }: CommandContext): Promise<string> {
  const { findStart } = await import('../../engine/descent/findStart')
  const found = await findStart(trained)
  if ('start' in found) {
    io.stderr.write(`start: ${shortPath(found.start, io.cwd)} (by its lesa.json)\n`)
    return found.start
  }
  const [first] = found.candidates
  throw new UsageError(
    first === undefined
      ? '--start: the grown checkpoint that the training began from was not found above or beside the folder; name it: --start GROWN'
      : `--start: ${found.candidates.length} folders tell of the same growth; name the one that the training began from: --start ${shortPath(first, io.cwd)}`,
  )
}

function refuseUnused({ base, context, device }: CompareOptions): void {
  const unused = Object.entries({ base, context, device }).find(([, value]) => value !== undefined)
  if (unused) {
    throw new UsageError(`--${unused[0]} is of use only where texts are measured: --text FILE`)
  }
}

/** Comparing weights may take minutes: that no text can be measured is said before. */
async function checkMeasurable(models: readonly string[], texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    const stats = await stat(text).catch((error: unknown) => {
      throw readError(error, text)
    })
    if (stats.isFile()) continue
    throw new AppError('bad_request', `${text} is no file.`, {
      hint: 'Give UTF-8 text files to measure on.',
      context: { file: text, field: 'text', expected: 'a file' },
    })
  }
  const { Checkpoint } = await import('../../engine/checkpoint/Checkpoint')
  for (const model of models) {
    const { path, has_tokenizer } = await Checkpoint.inspect(model)
    if (has_tokenizer) continue
    throw new AppError('bad_tokenizer', `${path} has no tokenizer.json.`, {
      hint: 'Copy it from the start: a training changes no tokens. Without --text none is needed.',
      context: { file: path, expected: 'tokenizer.json', actual: 'no such file' },
    })
  }
}
