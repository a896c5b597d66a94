import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { JobOutcome, JobSpec } from '@shared/jobs'
import { quickMethod } from './quickMethod'
import { expandSpec } from '../support/specs'
import { digestOf, smallModel, startEngine } from './program'
import type { Random } from './chance'
import type { Campaign } from './trials'

type Damage = (file: string, random: Random) => Promise<void>

/** What a power cut, a full disk or a bad one leaves of a file. */
const DAMAGES: Readonly<Record<string, Damage>> = {
  zeros: async (file) => writeFile(file, Buffer.alloc((await stat(file)).size)),
  flipped: async (file, random) => {
    const bytes = await readFile(file)
    if (bytes.length === 0) return
    bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
    await writeFile(file, bytes)
  },
  half: async (file) => truncate(file, (await stat(file)).size >> 1),
  longer: async (file) => writeFile(file, 'x', { flag: 'a' }),
  empty: (file) => truncate(file, 0),
  removed: (file) => rm(file),
}

/** Damages files of a job's folder; whoever uses it then writes the same bytes, or says clearly why not. */
export const stages: Campaign = async (trials) => {
  const { work, root, random } = trials
  const { client } = startEngine(root)
  try {
    const model = await smallModel(work)
    const [kept, job, out] = [join(work, 'kept'), join(work, 'job'), join(work, 'out')]
    const spec = expandSpec({ model, job, out, method: quickMethod })
    const run = (each: JobSpec): Promise<JobOutcome> =>
      client.runJob(each, { onEvent: () => undefined })
    const first = await run(spec)
    if (first.state !== 'succeeded') throw new Error(JSON.stringify(first))
    const good = await digestOf(out)
    await cp(job, kept, { recursive: true })
    const ways: Record<string, number> = {}
    for (let trial = 0; trial < (trials.count ?? 200) && !trials.isOver(); trial += 1) {
      await Promise.all([job, out].map((each) => rm(each, { recursive: true, force: true })))
      await cp(kept, job, { recursive: true })
      const entries = await readdir(job, { recursive: true, withFileTypes: true })
      const files = entries
        .filter((entry) => entry.isFile())
        .sort((a, b) => (a.name < b.name ? -1 : 1))
      const victim = random.pick(files)
      const file = join(victim.parentPath, victim.name)
      const way = random.pick(Object.keys(DAMAGES))
      await DAMAGES[way]?.(file, random)
      // Of the two stages of a weight type the second hides the first.
      const isHidden = basename(victim.parentPath).startsWith('decomposition-')
      if (isHidden) await removeWeights(job, victim.parentPath)
      ways[way] = (ways[way] ?? 0) + 1
      const assembles = !isHidden && random.happens(0.3)
      const outcome = await run(
        assembles ? { kind: 'assemble', job, out, overwrite: false, maxShardBytes: 5e9 } : spec,
      )
      const what = `${way} ${file.slice(job.length + 1)}${assembles ? ', assembled' : ''}`
      const found = await digestOf(out)
      if (outcome.state === 'succeeded') {
        if (found === good) trials.passed()
        else trials.failed(`${what}: other bytes`)
      } else if (
        outcome.state === 'failed' &&
        assembles &&
        found === null &&
        ['not_found', 'damaged_file'].includes(outcome.error.code)
      ) {
        trials.passed()
      } else trials.failed(`${what}: ${JSON.stringify(outcome).slice(0, 500)}`)
    }
    return { ways }
  } finally {
    await client.dispose()
  }
}

async function removeWeights(job: string, decomposition: string): Promise<void> {
  const type = basename(decomposition).replace(/^decomposition-(.+)-[0-9a-f]{16}$/, '$1')
  for (const name of await readdir(join(job, 'stages'))) {
    if (name.startsWith(`weights-${type}-`)) {
      await rm(join(job, 'stages', name), { recursive: true })
    }
  }
}
