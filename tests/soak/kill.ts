import { cp, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { digestOf, groupOf, killAll, runCli, signal, smallModel, startCli, within } from './program'
import type { Campaign, Trials } from './trials'

const METHODS: readonly (readonly string[])[] = [
  ['--method', 'lesa', '--steps', '2'],
  ['--method', 'lesa', '--steps', '2', '--max-shard-size', '20kB'],
  ['--method', 'solar'],
  ['--method', 'llama-pro'],
  ['--method', 'neighbour-mean'],
  ['--method', 'noise'],
]

/** How long an engine may outlive the program that started it. */
const ORPHAN_MS = 7_000

interface Way {
  readonly args: readonly string[]
  readonly digest: string
  readonly ms: number
}

/** Kills a run at a random time: the whole of it, the program, or its engine. What was there stays, and a rerun ends it. */
export const kill: Campaign = async (trials) => {
  const { work, root, random } = trials
  const model = await smallModel(work)
  const old = join(work, 'old')
  await runCli(root, ['expand', model, '--out', old, '--method', 'stack'])
  const ways = new Map<readonly string[], Way>()
  /** What a method writes when nobody disturbs it. */
  const wayOf = async (args: readonly string[]): Promise<Way> => {
    const known = ways.get(args)
    if (known) return known
    const started = performance.now()
    const out = join(work, 'reference')
    const { code, err } = await runCli(root, [
      ...['expand', model, '--out', out, '--overwrite', '--device', 'cpu', ...args],
    ])
    if (code !== 0) throw new Error(err)
    const way = { args, digest: (await digestOf(out)) ?? '', ms: performance.now() - started }
    ways.set(args, way)
    return way
  }
  const oldDigest = (await digestOf(old)) ?? ''
  const killed = { group: 0, program: 0, engine: 0 }
  for (let trial = 0; trial < (trials.count ?? 100) && !trials.isOver(); trial += 1) {
    const way = await wayOf(random.pick(METHODS))
    const setting = {
      trial,
      way,
      old: random.happens(0.5) ? old : null,
      job: way.args.includes('lesa') && random.happens(0.5),
      victim: random.pick(['group', 'program', 'engine'] as const),
      afterMs: random.next() * way.ms * 1.1,
    }
    killed[setting.victim] += 1
    const problem = await tryOne(trials, model, oldDigest, setting)
    if (problem === null) trials.passed()
    else trials.failed(`${JSON.stringify({ ...setting, way: way.args })}: ${problem}`)
  }
  return { killed }
}

interface Setting {
  readonly trial: number
  readonly way: Way
  readonly old: string | null
  readonly job: boolean
  readonly victim: 'group' | 'program' | 'engine'
  readonly afterMs: number
}

async function tryOne(
  { root, work }: Trials,
  model: string,
  oldDigest: string,
  { trial, way, old, job, victim, afterMs }: Setting,
): Promise<string | null> {
  const place = join(work, `trial-${trial}`)
  const out = join(place, 'out')
  await mkdir(place)
  if (old !== null) await cp(old, out, { recursive: true })
  const args = [
    ...['expand', model, '--out', out, '--device', 'cpu', ...way.args],
    ...(old === null ? [] : ['--overwrite']),
    ...(job ? ['--job', join(place, 'job')] : []),
  ]
  const { child, ended } = startCli(root, args)
  const pid = child.pid ?? 0
  await Promise.race([wait(afterMs), ended])
  if (victim === 'group') killAll(pid)
  else if (victim === 'program') signal(pid, 'SIGKILL')
  else for (const each of groupOf(pid)) if (each.parent === pid) signal(each.pid, 'SIGKILL')
  await ended
  if (!(await within(ORPHAN_MS, () => groupOf(pid).length === 0))) {
    killAll(pid)
    return 'the engine went on without its program'
  }
  const found = await digestOf(out)
  const isNew = found === way.digest
  if (!isNew && found !== (old === null ? null : oldDigest)) {
    // Between the two renames of a replacement the older output is beside its name, and whole.
    const names = await readdir(place)
    const aside = names.find((name) => name.startsWith('out.replaced-'))
    const isAside =
      found === null && aside !== undefined && (await digestOf(join(place, aside))) === oldDigest
    if (!isAside) return `the output is neither the older nor the new one (${names.join(', ')})`
  }
  const again = await runCli(root, args)
  const refused = old === null && isNew && again.err.includes('output_exists')
  if (again.code !== 0 && !refused) return `the rerun failed: ${again.err.slice(-500)}`
  if ((await digestOf(out)) !== way.digest) return 'the rerun has other bytes'
  const left = (await readdir(place)).filter((name) => name !== 'out' && name !== 'job')
  const drafts = job ? await readdir(join(place, 'job'), { recursive: true }) : []
  left.push(...drafts.filter((name) => name.endsWith('.tmp')))
  return left.length === 0 ? null : `left behind: ${left.join(', ')}`
}
