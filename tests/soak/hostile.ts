import { cp, link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError, toAppError, type AppErrorData } from '@shared/errors'
import { DEFAULT_DRAFT, runSettingsOf } from '@shared/projects'
import { readTokenizerFiles } from '../../src/main/engine/evaluation/tokenizerFiles'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { evaluateSpec, expandSpec } from '../support/specs'
import type { Random } from './chance'
import { mutateJson, mutateSafetensors } from './mutate'
import * as plausible from './plausible'
import { startEngine } from './program'
import { TokenizerLine, type Told } from './tokenizerLine'
import type { Campaign } from './trials'

/** Of a processor, for one question: what waits for others on a busy machine is no hang. */
const MAX_SECONDS = 2

/** After this long without an answer the engine is given up. */
const GIVE_UP_MS = 60_000

const MAX_GROWTH = 500e6

const MAX_MESSAGE = 2_000

/** Errors about the request or the machine, not about a file. */
const FILELESS = ['bad_request', 'not_enough_disk', 'not_enough_memory', 'numeric_failure']

const TEXTS = [
  'The little dog ran home. 你好 🙂\n'.repeat(4),
  'a'.repeat(200),
  '  \t\n\u00a0\u200b\0\ufffd',
  'e\u0301\u0302 ﷺ ﬁ Ǆ 🏳️‍🌈 \u202eabc',
  "I'll don't 12345 <s></s> ##x ▁y",
]

/** Asks about mutants of good models: every answer comes in time and in the program's own terms, and nothing grows. */
export const hostile: Campaign = async (trials) => {
  const { work, root, random } = trials
  let engine = startEngine(root)
  const line = new TokenizerLine(trials.tokenizer)
  const library = await import('@anush008/tokenizers').then(
    () => 'native' as const,
    () => 'javascript' as const,
  )
  const models: string[] = []
  for (const architecture of ['llama', 'qwen3', 'phi3'] as const) {
    const dir = join(work, architecture)
    models.push(await writeTinyCheckpoint({ dir, architecture, layers: 4, shards: 2 }))
  }
  const demo = join(work, 'demo')
  await cp(join(root, 'resources/demo-model'), demo, { recursive: true })
  const text = join(work, 'text.txt')
  await writeFile(text, TEXTS[0]!)
  const settings = runSettingsOf(DEFAULT_DRAFT)
  const [out, folder] = [join(work, 'out'), join(work, 'mutant')]

  const job = async (spec: Parameters<typeof engine.client.runJob>[0]): Promise<void> => {
    const outcome = await engine.client.runJob(spec, { onEvent: () => undefined })
    if (outcome.state === 'failed') throw AppError.fromData(outcome.error)
  }
  const modelQuestions = {
    inspect: () => engine.client.call('inspect', folder),
    config: () => engine.client.call('config', folder),
    tensors: () => engine.client.call('tensors', folder),
    identify: () => engine.client.call('identify', folder),
    growth: () => engine.client.call('growth', folder, settings),
    expand: async () => {
      await job(expandSpec({ model: folder, out, overwrite: true }))
      // What the program wrote it can read.
      await engine.client.call('inspect', out).catch((error: unknown) => {
        throw new Error(`its own output is refused: ${toAppError(error).message}`)
      })
    },
  }
  /** What became of what the tokenizer's process was asked. */
  const answers: Record<string, number> = {}
  const tokenize = async (model: string): Promise<Told> => {
    const { tokenizer, config, tokens } = await readTokenizerFiles(model)
    const told = await line.ask({ library, tokenizer, config, tokens, texts: TEXTS })
    answers[told] = (answers[told] ?? 0) + 1
    return told
  }
  const tokenizerQuestions = {
    evaluate: () => job(evaluateSpec({ models: [folder], text, context: 8 })),
    tokenize: async () => {
      if ((await tokenize(folder)) !== 'done') throw new AppError('bad_tokenizer', folder)
    },
  }
  if ((await tokenize(demo)) !== 'done') throw new Error('The demo tokenizer is refused.')
  const asked: Record<string, number> = {}
  const codes: Record<string, number> = {}
  let [base, peak, slowest] = [0, 0, 0]
  const count = trials.count ?? 10_000
  for (let trial = 0; trial < count && !trials.isOver(); trial += 1) {
    const isTokenizer = random.happens(0.5)
    const name = await makeMutant(isTokenizer ? demo : random.pick(models), folder, random)
    const questions: Readonly<Record<string, () => Promise<unknown>>> = isTokenizer
      ? tokenizerQuestions
      : modelQuestions
    // A process for each is slow.
    const question = isTokenizer
      ? random.happens(0.1)
        ? 'evaluate'
        : 'tokenize'
      : random.pick(Object.keys(questions))
    asked[question] = (asked[question] ?? 0) + 1
    const before = secondsOf(engine.pid())
    const over = new AbortController()
    const answer = await Promise.race([
      questions[question]!().then(
        () => null,
        (thrown: unknown) => toAppError(thrown).toData(),
      ),
      wait(GIVE_UP_MS, 'late' as const, { signal: over.signal }).catch(() => 'late' as const),
    ])
    over.abort()
    const seconds = secondsOf(engine.pid()) - before
    slowest = Math.max(slowest, seconds)
    const problem =
      answer === 'late'
        ? 'no answer'
        : seconds > MAX_SECONDS
          ? `${seconds.toFixed(1)} s of the processor`
          : answer && complaint(answer, folder)
    const code = answer === null ? 'ok' : answer === 'late' ? answer : answer.code
    codes[code] = (codes[code] ?? 0) + 1
    if (problem === null) trials.passed()
    else {
      trials.failed(`${trial}: ${question} with a mutant of ${name}: ${problem}`)
      const kept = join(root, '.cache/soak-failures', `${question}-${trial}`)
      await rm(kept, { recursive: true, force: true })
      await cp(folder, kept, { recursive: true })
    }
    if (answer === 'late') {
      process.kill(engine.pid() ?? 0, 'SIGKILL')
      await engine.client.dispose()
      engine = startEngine(root)
      base = 0
    }
    const resident = residentOf(engine.pid())
    // What is loaded on first use belongs to every engine.
    if (trial < 200 || base === 0) base = Math.max(base, resident)
    peak = Math.max(peak, resident - base)
  }
  if (peak > MAX_GROWTH) trials.failed(`the engine grew by ${Math.round(peak / 1e6)} MB`)
  await engine.client.dispose()
  line.end()
  const growthMb = Math.round(peak / 1e6)
  return { asked, codes, tokenizer: answers, growthMb, slowestSeconds: Number(slowest.toFixed(2)) }
}

/** Fills a folder with a model of which one file is another, and returns which; the others are the model's own. */
async function makeMutant(model: string, folder: string, random: Random): Promise<string> {
  const isDemo = model.endsWith('demo')
  const all = await readdir(model)
  const chosen = random.pick(
    all.filter((name) =>
      isDemo
        ? name.startsWith('tokenizer')
        : name.endsWith('.json') || name.endsWith('.safetensors'),
    ),
  )
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder)
  const bytes = await readFile(join(model, chosen))
  await Promise.all([
    ...all
      .filter((name) => name !== chosen)
      .map((name) => link(join(model, name), join(folder, name))),
    writeFile(join(folder, chosen), mutate(chosen, bytes, random)),
  ])
  return `${basename(model)}/${chosen}`
}

function mutate(name: string, bytes: Buffer, random: Random): Buffer {
  const isPlausible = random.happens(0.6)
  if (name.endsWith('.safetensors')) {
    return isPlausible
      ? plausible.plausibleSafetensors(bytes, random)
      : mutateSafetensors(bytes, random)
  }
  const text = bytes.toString('utf8')
  if (!isPlausible) return mutateJson(text, random)
  switch (name) {
    case 'config.json':
      return plausible.plausibleConfig(text, random)
    case 'tokenizer.json':
      return plausible.plausibleTokenizer(text, random)
    case 'tokenizer_config.json':
      return plausible.plausibleTokenizerConfig(text, random)
    default:
      return plausible.plausibleIndex(text, random)
  }
}

/** What is wrong with an error, if anything is. */
function complaint({ code, message, context }: AppErrorData, folder: string): string | null {
  if (code === 'bug' || code === 'engine_crashed') return `${code}: ${message.slice(0, 500)}`
  if (
    JSON.stringify({ message, context }).length > 2 * MAX_MESSAGE ||
    message.length > MAX_MESSAGE
  ) {
    return `${code}: a message of ${message.length} characters`
  }
  const isNamed = context?.file !== undefined || message.includes(folder)
  return isNamed || FILELESS.includes(code) ? null : `${code} names no file: ${message}`
}

/** Seconds of processors that a process has used; 0 where there is no `/proc`. */
function secondsOf(pid: number | undefined): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

function residentOf(pid: number | undefined): number {
  try {
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return 0
  }
}
