import { fork } from 'node:child_process'
import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EngineAnswer } from '@shared/engineProtocol'
import type { ExpandSpec, JobOutcome } from '@shared/jobs'
import { quickMethod } from './quickMethod'
import { expandSpec } from '../support/specs'
import { digestOf, smallModel } from './program'
import type { Campaign } from './trials'

/** Runs a job in an engine of its own, which ends right after its `at`-th change of the disk; `null` when it did. */
function runTrapped(
  root: string,
  spec: ExpandSpec,
  env: { readonly LESA_TRAP_AT: string; readonly LESA_TRAP_LOG: string },
): Promise<JobOutcome | null> {
  const child = fork(join(root, 'out/main/engine.js'), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: ['--import', join(root, 'tests/soak/trap.mjs')],
    env: { ...process.env, ...env },
  })
  let outcome: JobOutcome | null = null
  child.on('message', (message) => {
    const answer = message as EngineAnswer
    if (answer.type === 'ready') child.send({ type: 'job:start', jobId: 'trapped', spec })
    if (answer.type !== 'job:end') return
    outcome = answer.outcome
    child.disconnect()
  })
  return new Promise((resolve) => child.once('exit', () => resolve(outcome)))
}

/** Kills a job right after each of its changes of the disk, one by one; whatever the point, a rerun ends it. */
export const killpoints: Campaign = async (trials) => {
  const { work, root, random } = trials
  const model = await smallModel(work)
  const old = join(work, 'old')
  const log = join(work, 'trap.log')
  const none = { LESA_TRAP_AT: '0', LESA_TRAP_LOG: log }
  await runTrapped(root, expandSpec({ model, out: old, dtype: 'f32' }), none)
  const oldDigest = (await digestOf(old)) ?? ''
  const learned = quickMethod
  const kinds: readonly {
    readonly name: string
    readonly spec: Partial<ExpandSpec>
    readonly job?: true
  }[] = [
    { name: 'copy', spec: {} },
    { name: 'overwrite', spec: { overwrite: true } },
    { name: 'stages', spec: { method: learned } },
    { name: 'job', spec: { method: learned }, job: true },
  ]
  const points: Record<string, number> = {}
  for (const { name, spec, job } of kinds) {
    const place = join(work, name)
    const out = join(place, 'out')
    const full = expandSpec({
      model,
      out,
      ...spec,
      ...(job ? { job: join(place, 'job') } : {}),
    })
    const prepare = async (): Promise<void> => {
      await mkdir(place, { recursive: true })
      if (full.overwrite) await cp(old, out, { recursive: true })
    }
    const clear = async (): Promise<void> => {
      const { rm } = await import('node:fs/promises')
      await rm(place, { recursive: true, force: true })
    }
    await prepare()
    const first = await runTrapped(root, full, none)
    if (first?.state !== 'succeeded') throw new Error(JSON.stringify(first))
    const good = await digestOf(out)
    const operations = (await readFile(log, 'utf8')).split('\n')
    points[name] = operations.length
    await clear()
    const chosen = chooseFrom(operations.length, trials.count, random)
    for (const at of chosen) {
      if (trials.isOver()) break
      await prepare()
      await runTrapped(root, full, { ...none, LESA_TRAP_AT: String(at) })
      const found = await digestOf(out)
      const names = await readdir(place)
      const isWhole =
        found === good || found === (full.overwrite ? oldDigest : null) || found === null
      const again = await runTrapped(root, full, none)
      const isDone =
        again?.state === 'succeeded' ||
        (!full.overwrite &&
          found === good &&
          again?.state === 'failed' &&
          again.error.code === 'output_exists')
      const left = (await readdir(place)).filter((each) => each !== 'out' && each !== 'job')
      const drafts = job ? await readdir(join(place, 'job'), { recursive: true }) : []
      left.push(...drafts.filter((each) => each.endsWith('.tmp')))
      const what = `${name}, after ${operations[at - 1]} (${at} of ${operations.length})`
      if (!isWhole) trials.failed(`${what}: half an output (${names.join(', ')})`)
      else if (
        found === null &&
        full.overwrite &&
        !names.some((each) => each.startsWith('out.replaced-'))
      )
        trials.failed(`${what}: the older output is lost`)
      else if (!isDone) trials.failed(`${what}: the rerun ended with ${JSON.stringify(again)}`)
      else if ((await digestOf(out)) !== good) trials.failed(`${what}: the rerun has other bytes`)
      else if (left.length > 0) trials.failed(`${what}: left behind: ${left.join(', ')}`)
      else trials.passed()
      await clear()
    }
  }
  return { points }
}

/** All points, or so many of them: the last ones, where outputs are put in place, and others by chance. */
function chooseFrom(
  points: number,
  count: number | null,
  random: { below: (bound: number) => number },
): number[] {
  const all = Array.from({ length: points }, (_, index) => index + 1)
  if (count === null || count >= points) return all
  const chosen = new Set(all.slice(-Math.ceil(count / 2)))
  while (chosen.size < count) chosen.add(1 + random.below(points))
  return [...chosen].sort((a, b) => a - b)
}
