import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError, toAppError, type AppErrorData } from '@shared/errors'
import { DEFAULT_DRAFT, runSettingsOf } from '@shared/projects'
import { writeTinyCheckpoint } from '../support/checkpoints'
import { evaluateSpec, expandSpec } from '../support/specs'
import { startEngine } from './program'
import { mutateJson, mutateSafetensors } from './mutate'
import type { Campaign } from './trials'

/** Of a processor, for one question: what waits for others on a busy machine is no hang. */
const MAX_SECONDS = 2

/** After this long without an answer the engine is given up. */
const GIVE_UP_MS = 60_000

const MAX_GROWTH = 500e6

const MAX_MESSAGE = 2_000

/** Errors about the request or the machine, not about a file. */
const FILELESS = ['bad_request', 'not_enough_disk', 'not_enough_memory', 'numeric_failure']

/** Asks one engine about mutants of good models: it answers in time, in its own terms, and stays as large as it was. */
export const hostile: Campaign = async (trials) => {
  const { work, root, random } = trials
  let engine = startEngine(root)
  const models: string[] = []
  for (const architecture of ['llama', 'qwen3', 'phi3'] as const) {
    const dir = join(work, architecture)
    models.push(await writeTinyCheckpoint({ dir, architecture, layers: 4, shards: 2 }))
  }
  const demo = join(work, 'demo')
  await cp(join(root, 'resources/demo-model'), demo, { recursive: true })
  models.push(demo)
  const text = join(work, 'text.txt')
  await writeFile(text, 'The little dog ran home. 你好 🙂\n'.repeat(4))
  const settings = runSettingsOf(DEFAULT_DRAFT)
  const tokenizer = await readFile(join(demo, 'tokenizer.json'), 'utf8')
  const [out, mutant] = [join(work, 'out'), join(work, 'mutant')]
  const codes: Record<string, number> = {}
  let [base, peak, slowest] = [0, 0, 0]
  const count = trials.count ?? 5_000
  for (let trial = 0; trial < count && !trials.isOver(); trial += 1) {
    const model = random.pick(models)
    const names = (await readdir(model)).filter((name) => /\.(json|safetensors)$/.test(name))
    const name = random.pick(names)
    await rm(mutant, { recursive: true, force: true })
    await mkdir(mutant)
    for (const each of await readdir(model)) await cp(join(model, each), join(mutant, each))
    if (!names.includes('tokenizer.json'))
      await writeFile(join(mutant, 'tokenizer.json'), tokenizer)
    const bytes = await readFile(join(model, name))
    const changed = name.endsWith('.json')
      ? mutateJson(bytes.toString('utf8'), random)
      : mutateSafetensors(bytes, random)
    await writeFile(join(mutant, name), changed)
    const isTokenizer = name.startsWith('tokenizer')
    const { client } = engine
    const job = async (spec: Parameters<typeof client.runJob>[0]): Promise<void> => {
      const outcome = await client.runJob(spec, { onEvent: () => undefined })
      if (outcome.state === 'failed') throw AppError.fromData(outcome.error)
    }
    const questions: Record<string, () => Promise<unknown>> = isTokenizer
      ? { evaluate: () => job(evaluateSpec({ models: [mutant], text, context: 8 })) }
      : {
          inspect: () => client.call('inspect', mutant),
          config: () => client.call('config', mutant),
          tensors: () => client.call('tensors', mutant),
          growth: () => client.call('growth', mutant, settings),
          expand: () => job(expandSpec({ model: mutant, out, overwrite: true })),
        }
    const question = random.pick(Object.keys(questions))
    const what = `${trial}: ${question} with a mutant of ${model.split(/[/\\]/).at(-1)}/${name}`
    const before = secondsOf(engine.pid())
    const answer = await Promise.race([
      questions[question]!().then(
        () => null,
        (thrown: unknown) => toAppError(thrown).toData(),
      ),
      wait(GIVE_UP_MS, 'late' as const, { ref: false }),
    ])
    const seconds = secondsOf(engine.pid()) - before
    slowest = Math.max(slowest, seconds)
    const problem =
      answer === 'late'
        ? 'no answer'
        : seconds > MAX_SECONDS
          ? `${seconds.toFixed(1)} s of the processor`
          : answer && complaint(answer, mutant)
    if (answer !== null && answer !== 'late') codes[answer.code] = (codes[answer.code] ?? 0) + 1
    if (problem === null) trials.passed()
    else {
      trials.failed(`${what}: ${problem}`)
      await keep(mutant, join(root, '.cache/soak-failures', `${question}-${trial}`))
    }
    if (answer === 'late') {
      process.kill(engine.pid() ?? 0, 'SIGKILL')
      await client.dispose()
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
  return { codes, growthMb: Math.round(peak / 1e6), slowestSeconds: Number(slowest.toFixed(2)) }
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

/** For whoever mends it. */
async function keep(folder: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true })
  await cp(folder, to, { recursive: true })
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
