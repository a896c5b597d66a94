/** @file `npm run soak`: the campaigns, each with its figures as one line of JSON, after Ctrl-C too. Not part of the tests. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Random } from './chance'
import { environment } from './environment'
import { hostile } from './hostile'
import { host } from './host'
import { kill } from './kill'
import { killpoints } from './killpoints'
import { stages } from './stages'
import type { Campaign, Figures, Trials } from './trials'

const CAMPAIGNS: Readonly<Record<string, Campaign>> = {
  kill,
  killpoints,
  stages,
  hostile,
  environment,
  host,
}

const USAGE = `usage: npm run soak -- [${Object.keys(CAMPAIGNS).join('|')}] … [--count N] [--seed S] [--limit SECONDS]\n`

/** How many failures are told of each campaign; all are counted. */
const TOLD = 20

/** Returns the exit code: 0, 1 when anything was lost or wrong, 2 for wrong usage. */
export async function runSoak(args: readonly string[], root: string): Promise<number> {
  let options
  try {
    options = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        count: { type: 'string' },
        seed: { type: 'string', default: '1' },
        limit: { type: 'string', default: '3600' },
      },
    })
  } catch {
    process.stderr.write(USAGE)
    return 2
  }
  const { values, positionals } = options
  const names = positionals.length > 0 ? positionals : Object.keys(CAMPAIGNS)
  if (names.some((name) => !(name in CAMPAIGNS))) {
    process.stderr.write(USAGE)
    return 2
  }
  let failures = 0
  let isStopped = false
  // What was tried until then is told; a second time ends at once.
  process.once('SIGINT', () => (isStopped = true))
  for (const name of names) {
    if (isStopped) break
    const figures = await runCampaign(name, {
      root,
      count: values.count === undefined ? null : Number(values.count),
      seed: Number(values.seed),
      limitMs: Number(values.limit) * 1000,
      isStopped: () => isStopped,
    })
    process.stdout.write(`${JSON.stringify(figures)}\n`)
    failures += figures.failed
  }
  return failures === 0 ? 0 : 1
}

interface CampaignOptions {
  readonly root: string
  readonly count: number | null
  readonly seed: number
  readonly limitMs: number
  readonly isStopped: () => boolean
}

async function runCampaign(
  name: string,
  { root, count, seed, limitMs, isStopped }: CampaignOptions,
): Promise<Figures> {
  const work = await mkdtemp(join(tmpdir(), `lesa-soak-${name}-`))
  const started = performance.now()
  const failures: string[] = []
  let tried = 0
  const trials: Trials = {
    root,
    tokenizer: join(import.meta.dirname, 'tokenizer.js'),
    work,
    count,
    random: new Random(seed),
    // A slow machine tries something as well.
    isOver: () => isStopped() || (tried > 0 && performance.now() - started > limitMs),
    passed: () => void (tried += 1),
    failed: (what) => {
      tried += 1
      failures.push(what)
      process.stderr.write(`${name}: ${what}\n`)
    },
  }
  let more: Readonly<Record<string, unknown>> = {}
  try {
    more = await CAMPAIGNS[name]!(trials)
  } catch (error) {
    trials.failed(
      `the campaign ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    )
  } finally {
    await rm(work, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
  return {
    campaign: name,
    seed,
    tried,
    failed: failures.length,
    seconds: Math.round((performance.now() - started) / 1000),
    ...more,
    failures: failures.slice(0, TOLD),
  }
}
