/** @file Matching the experts of neighbouring layers, as a stage of a job. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  describeExperts,
  expertReport,
  RANDOM_ORDERS,
  type ExpertPairReport,
  type ExpertReport,
} from '@shared/experts'
import type { JobEvent, JobStep } from '@shared/jobs'
import { isLearned, transports } from '@shared/methods'
import { ExpertChains, type ExpertMatch } from '../alignment/ExpertChains'
import { ExpertMatcher } from '../alignment/expertMatching'
import { layerTypesOf } from '../architectures/layerTypes'
import type { Checkpoint } from '../checkpoint/Checkpoint'
import { requireArrays, type ArrayNeed } from '../lib/arrays'
import { reporting } from '../lib/reporting'
import { ENGINE_VERSION } from '../lib/version'
import { weightOf, type Work } from '../lib/work'
import { chooseDevice } from '../onnx/devices'
import { Runtime } from '../onnx/Runtime'
import type { StageStore } from '../stages/StageStore'
import type { Growth } from './grow'

/** Which experts go together, and what that is worth. */
export interface MatchedExperts {
  readonly chains: ExpertChains
  readonly report: ExpertReport
}

type Planned = Pick<Growth, 'spec' | 'checkpoint' | 'plan'>

const STEP = 'experts'
const FLOAT = Float32Array.BYTES_PER_ELEMENT

/** Steps of an assignment of n neurons for each n³, as in aligning. */
const SEARCH_OPERATIONS = 10

/** Layers with experts by type, of the types that there are new computed layers of; none where nothing is matched. */
function groupsOf({ spec, checkpoint, plan }: Planned): number[][] {
  const { experts } = checkpoint.config
  const isAsked = isLearned(spec.method) || (spec.align === true && !transports(spec.method.name))
  if (experts === null || !isAsked) return []
  const types = layerTypesOf(checkpoint.config)
  const sources = plan.layers.flatMap((layer) =>
    layer.kind === 'computed' && experts.isSparse[layer.source] === true ? [layer.source] : [],
  )
  return [...new Set(sources.map((source) => types[source]))]
    .map((type) => types.flatMap((each, layer) => (each === type ? [layer] : [])))
    .filter((layers) => layers.length > 1)
}

/** Whether experts are matched for a growth. */
export function isMatching(growth: Planned): boolean {
  return groupsOf(growth).length > 0
}

function pairsOf(groups: readonly (readonly number[])[]): number {
  return groups.reduce((sum, layers) => sum + layers.length - 1, 0)
}

/** The costs of all pairs of an expert's neurons, its matrices and the other's. */
export function matchingNeed({ config }: Pick<Checkpoint, 'config'>): ArrayNeed {
  const { intermediateSize = 0 } = config.experts ?? {}
  const [matrix, costs] = [
    FLOAT * intermediateSize * config.hiddenSize,
    FLOAT * intermediateSize ** 2,
  ]
  return { largest: Math.max(matrix, costs), together: 2 * costs + 4 * matrix }
}

/** @throws AppError `not_enough_memory`. */
export function checkMatching(growth: Planned): void {
  if (groupsOf(growth).length > 0) requireArrays(matchingNeed(growth.checkpoint))
}

/**
 * Products of all pairs of neurons of each pair of experts, and their assignments; of each pair of layers the assignment of
 * their experts, and those of shuffled distances that it is compared with.
 */
export function matchingWork(growth: Planned): Work {
  const { hiddenSize, experts } = growth.checkpoint.config
  const { count = 0, intermediateSize = 0 } = experts ?? {}
  const layers = pairsOf(groupsOf(growth))
  const pairs = layers * count
  return {
    products:
      pairs * intermediateSize ** 2 * (6 * hiddenSize + SEARCH_OPERATIONS * intermediateSize) +
      layers * (1 + RANDOM_ORDERS) * SEARCH_OPERATIONS * count ** 3,
    converted: pairs * FLOAT * 2 * 3 * intermediateSize * hiddenSize,
  }
}

export function matchingSteps(growth: Planned): JobStep[] {
  if (groupsOf(growth).length === 0) return []
  return [{ id: STEP, label: 'match experts', weight: weightOf(matchingWork(growth)) }]
}

/** Matches them, or takes what an earlier run kept; `null` where nothing is computed from experts of several layers. */
export async function* matchExperts(
  growth: Growth,
  stages: StageStore,
): AsyncGenerator<JobEvent, MatchedExperts | null> {
  const { spec, checkpoint } = growth
  const groups = groupsOf(growth)
  if (groups.length === 0) return null
  const step = (done: number): JobEvent => ({ type: 'step', id: STEP, done, total: 1 })
  yield step(0)
  // Whichever device found them: machines that share a job have to share its orders.
  const depends = { engine: ENGINE_VERSION, model: await checkpoint.fingerprint(), groups }
  const kept = await stages.find(STEP, depends)
  if (kept && 'folder' in kept) {
    yield { type: 'step', id: STEP, done: 1, total: 1, kept: null }
    const found = await load(kept.folder)
    yield* said(found, spec)
    return found
  }
  const found = yield* computed(growth, groups, step)
  const draft = await stages.begin(STEP, depends)
  try {
    await found.chains.save(draft.folder)
    await writeFile(join(draft.folder, REPORT), JSON.stringify(found.report))
    await checkpoint.assertUnchanged()
    const folder = await draft.commit()
    yield step(1)
    yield* said(found, spec)
    return await load(folder)
  } finally {
    await draft.discard()
  }
}

const REPORT = 'report.json'

async function load(folder: string): Promise<MatchedExperts> {
  const report = JSON.parse(await readFile(join(folder, REPORT), 'utf8')) as ExpertReport
  return { chains: await ExpertChains.load(folder), report }
}

function* said({ report }: MatchedExperts, { method }: Growth['spec']): Generator<JobEvent, void> {
  const level = report.isMeaningful ? 'info' : 'warning'
  yield { type: 'log', level, text: describeExperts(report, isLearned(method)) }
}

async function* computed(
  { spec, checkpoint, signal }: Growth,
  groups: readonly (readonly number[])[],
  step: (done: number) => JobEvent,
): AsyncGenerator<JobEvent, MatchedExperts> {
  const { device } = await chooseDevice(spec.device)
  const { count = 0, intermediateSize = 0 } = checkpoint.config.experts ?? {}
  const total = pairsOf(groups)
  return yield* reporting<JobEvent, MatchedExperts>(signal, async (report) => {
    const runtime = await Runtime.open(device)
    try {
      const matcher = await ExpertMatcher.create(checkpoint, runtime)
      const chains: ExpertChains[] = []
      const pairs: ExpertPairReport[] = []
      for (const layers of groups) {
        const matches: ExpertMatch[] = []
        for (const [index, right] of layers.slice(1).entries()) {
          const left = layers[index] ?? 0
          matcher.forget(left)
          const before = pairs.length
          const found = await matcher.match(left, right, (done) =>
            report(step((before + done) / total)),
          )
          matches.push(found.match)
          pairs.push(found.report)
        }
        const shape = { experts: count, neurons: intermediateSize }
        chains.push(ExpertChains.fromMatches(shape, layers, matches))
      }
      await matcher.dispose()
      const together = ExpertChains.together(chains)
      return { chains: together, report: expertReport(pairs, together.moved) }
    } finally {
      await runtime.dispose()
    }
  })
}
