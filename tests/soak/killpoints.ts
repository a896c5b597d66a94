import { fork } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { EngineAnswer } from '@shared/engineProtocol'
import type { ExpandSpec, JobOutcome } from '@shared/jobs'
import { expandSpec } from '../support/specs'
import type { Random } from './chance'
import { digestOf, smallModel, startEngine } from './program'
import { quickMethod } from './quickMethod'
import type { Campaign } from './trials'

interface Kind {
  readonly name: string
  readonly spec: Partial<ExpandSpec>
  readonly hasJob?: true
  /** With 2 the job that goes on is killed as well, at each of its states. */
  readonly kills?: 1 | 2
}

const KINDS: readonly Kind[] = [
  { name: 'solar', spec: {} },
  { name: 'llama-pro', spec: { method: { name: 'llama-pro' } } },
  { name: 'neighbour-mean', spec: { method: { name: 'neighbour-mean' } } },
  { name: 'shards', spec: { maxShardBytes: 20_000 } },
  { name: 'overwrite', spec: { overwrite: true } },
  { name: 'lesa with a job folder', spec: { method: quickMethod }, hasJob: true },
  { name: 'lesa', spec: { method: quickMethod } },
  { name: 'overwrite, killed twice', spec: { overwrite: true }, kills: 2 },
]

/** Runs a job in an engine that keeps every state of the folder that the job goes through (`trap.mjs`), and then ends. */
async function recordStates(
  root: string,
  spec: ExpandSpec,
  place: string,
  copies: string,
): Promise<{ readonly operations: readonly Operation[]; readonly outcome: JobOutcome | null }> {
  const child = fork(join(root, 'out/main/engine.js'), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: ['--import', join(root, 'tests/soak/trap.mjs')],
    env: { ...process.env, LESA_TRAP_PLACE: place, LESA_TRAP_COPIES: copies },
  })
  let outcome: JobOutcome | null = null
  child.on('message', (message) => {
    const answer = message as EngineAnswer
    if (answer.type === 'ready') child.send({ type: 'job:start', jobId: 'trapped', spec })
    if (answer.type !== 'job:end') return
    outcome = answer.outcome
    child.disconnect()
  })
  await new Promise((resolve) => child.once('exit', resolve))
  const lines = (await readFile(join(copies, 'operations'), 'utf8')).split('\n')
  const operations = lines.map((line) => {
    const [name = '', state, change = ''] = line.split(' ')
    return { name, state: Number(state), change }
  })
  return { operations, outcome }
}

/** What a job did to the disk, and the number of the state that it left. */
interface Operation {
  readonly name: string
  readonly state: number
  /** In which way the state differs from the one before: equal for points of one kind; empty where it does not. */
  readonly change: string
}

/**
 * Goes on from every state that a job killed right after any of its changes of the disk leaves behind: the output is
 * whole or not there, and the same job makes it.
 */
export const killpoints: Campaign = async (trials) => {
  const { work, root, random } = trials
  const model = await smallModel(work)
  const engine = startEngine(root)
  const run = (spec: ExpandSpec): Promise<JobOutcome> =>
    engine.client.runJob(spec, { onEvent: () => undefined })
  const old = join(work, 'old')
  await run(expandSpec({ model, out: old, dtype: 'f32' }))
  const oldDigest = await digestOf(old)
  const points: Record<string, Points> = {}
  const place = join(work, 'place')
  const out = join(place, 'out')

  const put = async (state: string | null): Promise<void> => {
    await rm(place, { recursive: true, force: true })
    if (state === null) await mkdir(place)
    else await cp(state, place, { recursive: true, preserveTimestamps: true })
  }

  const tryState = async (
    state: string,
    spec: ExpandSpec,
    good: string,
  ): Promise<string | null> => {
    await put(state)
    const [found, names] = [await digestOf(out), await readdir(place)]
    const older = spec.overwrite ? oldDigest : null
    if (![good, older, null].includes(found)) return `half an output (${names.join(', ')})`
    if (found === null && spec.overwrite) {
      const aside = names.find((each) => each.startsWith('out.replaced-'))
      const kept = aside === undefined ? null : await digestOf(join(place, aside))
      // A second run replaces what the first one put in place.
      if (kept !== older && kept !== good) return `the older output is lost (${names.join(', ')})`
    }
    const again = await run(spec)
    const isRefused =
      again.state === 'failed' && again.error.code === 'output_exists' && found === good
    if (again.state !== 'succeeded' && !(isRefused && !spec.overwrite)) {
      return `the rerun ended with ${JSON.stringify(again)}`
    }
    if ((await digestOf(out)) !== good) return 'the rerun has other bytes'
    const left = (await readdir(place)).filter((each) => each !== 'out' && each !== 'job')
    if (spec.job !== undefined) {
      const kept = await readdir(spec.job, { recursive: true })
      left.push(...kept.filter((each) => each.endsWith('.tmp')))
    }
    return left.length === 0 ? null : `left behind: ${left.join(', ')}`
  }

  /** Runs the job on what lies in `place`, and tries each state that it goes through `times` kills before its end. */
  const tryStates = async (
    name: string,
    spec: ExpandSpec,
    times: number,
    before = '',
  ): Promise<void> => {
    const copies = await mkdtemp(join(work, 'copies-'))
    const { operations, outcome } = await recordStates(root, spec, place, copies)
    const good = await digestOf(out)
    if (outcome?.state !== 'succeeded' || good === null) throw new Error(JSON.stringify(outcome))
    const states = operations.at(-1)?.state ?? 0
    const counted = (points[name] ??= {
      operations: 0,
      states: 0,
      tried: 0,
      kinds: 0,
      triedKinds: 0,
    })
    const made = operations.filter(({ change }) => change !== '')
    if (times === 1) {
      counted.operations += operations.length
      counted.states += states
      counted.kinds += new Set(made.map(kindOf)).size
    }
    const tried = new Set<string>()
    for (const { state, name: after, kind } of inOrder(made, random).slice(
      0,
      trials.count ?? states,
    )) {
      if (trials.isOver()) break
      const copy = join(copies, String(state))
      const where = `${before} after ${after} (state ${state} of ${states})`
      if (times > 1) {
        await put(copy)
        await tryStates(name, spec, times - 1, where)
        continue
      }
      const problem = await tryState(copy, spec, good)
      counted.tried += 1
      if (!tried.has(kind)) counted.triedKinds += 1
      tried.add(kind)
      if (problem === null) trials.passed()
      else trials.failed(`${name},${where}: ${problem}`)
    }
    await rm(copies, { recursive: true })
  }

  try {
    for (const { name, spec: changes, hasJob, kills = 1 } of KINDS) {
      if (trials.isOver()) break
      const job = hasJob ? { job: join(place, 'job') } : {}
      const spec = expandSpec({ model, out, ...changes, ...job })
      await put(null)
      if (spec.overwrite) await cp(old, out, { recursive: true })
      await tryStates(name, spec, kills)
    }
  } finally {
    await engine.client.dispose()
  }
  return { points }
}

interface Points {
  operations: number
  /** That differ from the one before. */
  states: number
  tried: number
  /** Of states: one that each weight type or layer goes through counts once. */
  kinds: number
  triedKinds: number
}

const kindOf = ({ name, change }: Operation): string => `${name} ${change}`

/** One state of each kind first, the last ones before others: that is where outputs are put in place. */
function inOrder(made: readonly Operation[], random: Random) {
  const known = new Set<string>()
  const all = made.toReversed().map((operation) => ({ ...operation, kind: kindOf(operation) }))
  const first = all.filter(({ kind }) => !known.has(kind) && known.add(kind))
  return [...first, ...random.shuffled(all.filter((each) => !first.includes(each)))]
}
